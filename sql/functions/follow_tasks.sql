-- What follows from an update of tasks, for all rows of a statement at once and in the same transaction. One trigger,
-- because each costs every statement a call. Old and new rows are hashed, whatever number of rows the plan was made
-- for; runs are looked up by their task.
-- Locks: the live runs of tasks that were taken away from them. Raises MZ002.
create or replace function follow_task_updates() returns trigger
  language plpgsql security definer set search_path = public, pg_temp
  set enable_hashjoin = on set enable_nestloop = off set enable_mergejoin = off set enable_seqscan = off set jit = off
as $$
declare
  v_stopped uuid[];
  v_ended uuid[];
begin
  -- 1. A running task has a live run that nobody stops.
  if exists (
    select from new_rows n
    where n.status = 'running'
      and (
        select r.id from runs r
        where r.task_id = n.id and r.success is null and r.stop_requested_at is null
        limit 1) is null
  ) then
    perform refuse_running();
  end if;

  -- 2. The lanes of what is or was pending; the end of a run is logged by runs.
  insert into lane_changes (addressee)
    select addressee from old_rows where status = 'pending'
    union
    select addressee from new_rows where status = 'pending';
  if found then
    perform wake_engine();
  end if;

  -- 3. A live run whose task is not running any more is to be stopped (a settle finishes the run first).
  select array_agg(n.id) into v_stopped
  from new_rows n
  cross join lateral (
    select from runs r
    where r.task_id = n.id and r.success is null and r.stop_requested_at is null
    limit 1
  ) live
  where n.status <> 'running';
  if v_stopped is not null then
    update runs r set
      stop_requested_at = myzel_now(),
      stop_reason = case n.status when 'pending' then 'rescheduled'
        else coalesce(n.result ->> 'error', 'completed by hand') end
    from new_rows n
    where n.id = any (v_stopped) and r.task_id = n.id and r.success is null and r.stop_requested_at is null;
    perform pg_notify('myzel', '');
  end if;

  -- 4. A task that was put back by hand, not by the engine, begins a new chain of attempts; and its epic goes on.
  if v_stopped is not null or exists (select from old_rows where status = 'completed') then
    update runs r set retry_at = null
    from new_rows n
    where n.status = 'pending' and r.task_id = n.id and r.retry_at is not null
      and (n.id = any (v_stopped) or exists (select from old_rows o where o.id = n.id and o.status = 'completed'));
    -- what the last chain went on from is none of its business (reschedule() says so anew)
    update task_options o set continue_run = null
    where o.continue_run is not null and o.task_id in (select n.id from new_rows n where n.status = 'pending')
      and (o.task_id = any (v_stopped)
        or exists (select from old_rows was where was.id = o.task_id and was.status = 'completed'));
    -- in the order in which everybody locks several epics
    perform reopen_epic(again.id)
    from (
      select n.id from old_rows o join new_rows n using (id)
      where o.status = 'completed' and n.status = 'pending'
      order by n.id) again;
  end if;

  -- 5. The audit: a row for each task that changed. And what has ended, where somebody waits for it.
  with change as materialized (
    select
      n.id as task_id,
      n.created_by,
      o.status as from_status,
      n.status as to_status,
      (select r from runs r where r.task_id = n.id order by r.attempt desc limit 1) as run,
      case
        when n.status = 'completed' then jsonb_strip_nulls(jsonb_build_object(
          'success', n.result -> 'success', 'code', n.result -> 'code'))
        when o.status = n.status then (
          select jsonb_object_agg(key, 'changed')
          from jsonb_each(to_jsonb(n)) new_column
          where new_column.value is distinct from to_jsonb(o) -> new_column.key)
      end as detail
    from new_rows n
    join old_rows o using (id)
    where o.status <> n.status
      -- the pod's name is the engine's own note
      or (o.worker_pod is not distinct from n.worker_pod and o is distinct from n)
  ), audit as (
    insert into task_events (task_id, run_id, event, from_status, to_status, detail)
    select
      change.task_id,
      (change.run).id,
      case
        when change.from_status = change.to_status then 'edited'
        when change.to_status = 'running' then 'started'
        when change.to_status = 'completed' and change.from_status = 'pending' then 'cancelled'
        when change.to_status = 'completed' then
          case
            when (change.run).id is not null and (change.run).success is null and (change.run).settled_at is null then 'stopped'
            else 'completed' end
        -- put back by the engine after a failure of the infrastructure or a usage limit
        when change.from_status = 'running' and (change.run).retry_at is not null then 'requeued'
        else 'rescheduled'
      end,
      change.from_status,
      change.to_status,
      change.detail
    from change
  )
  select array_agg(change.task_id) into v_ended
  from change
  where change.to_status = 'completed' and change.from_status <> 'completed'
    and ((change.run).epic is not null
      or change.created_by like any (array(select p.addressee_pattern from profiles p where p.role = 'green'))
      -- cancelled: it may have no run
      or (change.from_status = 'pending'
        and exists (select from task_options o where o.task_id = change.task_id and o.epic is not null)));
  if v_ended is not null then
    perform follow_ended_tasks(v_ended);
  end if;
  return null;
end $$;

create or replace trigger tasks_follow_update
  after update on tasks
  referencing old table as old_rows new table as new_rows
  for each statement execute function follow_task_updates();
