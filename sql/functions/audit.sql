-- Audit of deletes; updates are recorded by follow_task_updates(). An INSERT writes no row: the task's own row says who
-- filed it and when.
create or replace function audit_task_deletes() returns trigger
  language plpgsql security definer set search_path = public, pg_temp as $$
begin
  insert into task_events (task_id, event, from_status) select id, 'deleted', status from old_rows;
  return null;
end $$;

create or replace trigger tasks_audit_delete after delete on tasks
  referencing old table as old_rows for each statement execute function audit_task_deletes();
