-- Wakes the engine if it sleeps, and costs nothing while it is awake: the sleeping engine holds this advisory lock
-- exclusively. Trying it shared until our commit makes an engine that is about to fall asleep look once more after
-- us, so that no wake-up is lost between looking and sleeping. Never waits.
create or replace function wake_engine() returns void
  language plpgsql as $$
begin
  if not pg_try_advisory_xact_lock_shared(1299798577, 3) then
    perform pg_notify('myzel', '');
  end if;
end $$;

-- Statement triggers that log the addressees whose lane may have changed, and the gates that may have opened (gates.sql).
-- A row a statement and addressee or gate, in the writer's own transaction: whoever leaves that open delays nobody but his
-- own rows.
-- (Its names are qualified and no operator is named: a search_path of its own would cost a single INSERT more than the
-- rest of it. The lines of wake_engine() stand here for the same reason.)
create or replace function log_inserted_tasks() returns trigger
  language plpgsql security definer as $$
begin
  insert into public.lane_changes (addressee) select distinct addressee from new_rows;
  if not pg_catalog.pg_try_advisory_xact_lock_shared(1299798577, 3) then
    perform pg_catalog.pg_notify('myzel', '');
  end if;
  return null;
end $$;

create or replace function log_updated_addressees() returns trigger
  language plpgsql security definer set search_path = public, pg_temp as $$
begin
  insert into lane_changes (addressee) select addressee from old_rows union select addressee from new_rows;
  perform wake_engine();
  return null;
end $$;

create or replace function log_deleted_rows() returns trigger
  language plpgsql security definer set search_path = public, pg_temp as $$
begin
  insert into lane_changes (addressee) select distinct addressee from old_rows;
  perform wake_engine();
  return null;
end $$;

create or replace trigger tasks_log_insert after insert on tasks
  referencing new table as new_rows for each statement execute function log_inserted_tasks();
create or replace trigger tasks_log_delete after delete on tasks
  referencing old table as old_rows for each statement execute function log_deleted_rows();
create or replace trigger addressees_log_insert after insert on addressees
  referencing new table as new_rows for each statement execute function log_inserted_tasks();
create or replace trigger addressees_log_update after update on addressees
  referencing old table as old_rows new table as new_rows for each statement execute function log_updated_addressees();
create or replace trigger addressees_log_delete after delete on addressees
  referencing old table as old_rows for each statement execute function log_deleted_rows();

-- Pruned runs change no lane.
create or replace function log_deleted_runs() returns trigger
  language plpgsql security definer set search_path = public, pg_temp as $$
begin
  insert into lane_changes (addressee)
    select distinct addressee from old_rows where finished_at is null or retry_at is not null;
  if found then
    insert into lane_changes (gate)
      select distinct gate from old_rows o
      cross join lateral unnest(gates_of(o.project, o.epic, o.paths, o.repo_url)) gate
      where o.finished_at is null;
    perform wake_engine();
  end if;
  return null;
end $$;

create or replace trigger runs_log_delete after delete on runs
  referencing old table as old_rows for each statement execute function log_deleted_runs();

-- A run that ended frees its slot, and its place behind its gates; a cleared retry_at lets its task start at once.
create or replace function log_updated_runs() returns trigger
  language plpgsql security definer set search_path = public, pg_temp
  -- old and new rows are hashed, whatever number of rows the plan was made for
  set enable_hashjoin = on set enable_nestloop = off set enable_mergejoin = off set jit = off as $$
begin
  insert into lane_changes (addressee)
    select distinct n.addressee
    from new_rows n join old_rows o using (id)
    where n.finished_at is distinct from o.finished_at or n.retry_at is distinct from o.retry_at;
  if not found then
    return null;
  end if;
  if exists (select from new_rows n where num_nonnulls(n.project, n.epic, n.paths) > 0) then
    insert into lane_changes (gate)
      select distinct gate
      from new_rows n join old_rows o using (id)
      cross join lateral unnest(gates_of(n.project, n.epic, n.paths, n.repo_url)) gate
      where n.finished_at is not null and o.finished_at is null;
  end if;
  perform wake_engine();
  return null;
end $$;

create or replace trigger runs_log_update after update on runs
  referencing old table as old_rows new table as new_rows for each statement execute function log_updated_runs();

create or replace function log_changed_options() returns trigger
  language plpgsql security definer set search_path = public, pg_temp as $$
begin
  insert into lane_changes (addressee)
    select distinct t.addressee from changed_rows c join tasks t on t.id = c.task_id;
  perform wake_engine();
  return null;
end $$;

create or replace trigger task_options_log_insert after insert on task_options
  referencing new table as changed_rows for each statement execute function log_changed_options();
create or replace trigger task_options_log_update after update on task_options
  referencing new table as changed_rows for each statement execute function log_changed_options();
create or replace trigger task_options_log_delete after delete on task_options
  referencing old table as changed_rows for each statement execute function log_changed_options();

-- A profile decides the credential of heads of any addressee: '' (no addressee) asks the claim that reads it to look at
-- every lane again. Not logged here one by one, because a lane that is just being made would be missed. Rare.
create or replace function log_changed_profiles() returns trigger
  language plpgsql security definer set search_path = public, pg_temp as $$
begin
  insert into lane_changes (addressee) values ('');
  perform pg_notify('myzel', '');
  return null;
end $$;

create or replace trigger profiles_log_change after insert or update or delete on profiles
  for each statement execute function log_changed_profiles();

-- Gates that no lane depends on: the engine only has to look again.
create or replace function notify_engine() returns trigger
  language plpgsql as $$
begin
  perform pg_notify('myzel', '');
  return null;
end $$;

create or replace trigger credentials_notify
  after insert or update of blocked_until, problem, max_live_runs, keep_reserve, warned_until on credentials
  for each statement execute function notify_engine();
create or replace trigger engine_state_notify after update of paused, max_live_runs, max_daily_cost_usd on engine_state
  for each statement execute function notify_engine();
