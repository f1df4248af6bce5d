-- What a claim and a settle cost: guards that judge whole statements (sql/functions/follow_tasks.sql), and fewer indexes.
set local lock_timeout = '5s';

drop trigger if exists tasks_refuse_insert on tasks;
drop trigger if exists tasks_guard_update on tasks;
drop trigger if exists tasks_follow_update on tasks;
drop trigger if exists tasks_follow_content on tasks;
drop trigger if exists tasks_follow_delete on tasks;
drop trigger if exists tasks_audit_update on tasks;
drop trigger if exists tasks_log_update on tasks;
drop trigger if exists addressees_log_update on addressees;
drop function if exists refuse_task_insert();
drop function if exists guard_task_update();
drop function if exists follow_task_edit();
drop function if exists audit_task_updates();
drop function if exists log_updated_tasks();

-- Live runs are few, and runs_live_slot holds just them; without an index over launched_at its update moves no row.
drop index runs_unlaunched;
alter table runs set (fillfactor = 80);

-- A lane knows the profile of its head, so that a claim need not look for it again. All lanes are made anew.
delete from lanes;
alter table lanes add column profile text not null;
insert into lane_changes (addressee) select distinct addressee from tasks where status = 'pending';
