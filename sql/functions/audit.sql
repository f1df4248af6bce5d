-- Writes one audit row for each task that an UPDATE or DELETE changed, in the same transaction. An INSERT writes
-- none: the task's own row says who filed it and when.
create or replace function audit_task_updates() returns trigger
  language plpgsql security definer set search_path = public, pg_temp
  -- old and new rows are hashed, whatever number of rows the plan was made for; runs are looked up one by one
  set enable_hashjoin = on set enable_nestloop = off set enable_mergejoin = off set enable_seqscan = off
  set jit = off as $$
begin
  insert into task_events (task_id, run_id, event, from_status, to_status, detail)
  select
    change.task_id,
    (change.run).id,
    case
      when change.from_status = change.to_status then 'edited'
      when change.to_status = 'running' then 'started'
      when change.to_status = 'completed' and change.from_status = 'pending' then 'cancelled'
      when change.to_status = 'completed' then
        case when (change.run).success is null and (change.run).id is not null then 'stopped' else 'completed' end
      -- put back by the engine after a failure of the infrastructure or a usage limit
      when change.from_status = 'running' and (change.run).retry_at is not null then 'requeued'
      else 'rescheduled'
    end,
    change.from_status,
    change.to_status,
    change.detail
  from (
    select
      n.id as task_id,
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
    offset 0 -- each run is looked up once
  ) change;
  return null;
end $$;

create or replace function audit_task_deletes() returns trigger
  language plpgsql security definer set search_path = public, pg_temp as $$
begin
  insert into task_events (task_id, event, from_status) select id, 'deleted', status from old_rows;
  return null;
end $$;

create or replace trigger tasks_audit_update after update on tasks
  referencing old table as old_rows new table as new_rows for each statement execute function audit_task_updates();
create or replace trigger tasks_audit_delete after delete on tasks
  referencing old table as old_rows for each statement execute function audit_task_deletes();
