-- Writes one audit row for each task that an UPDATE or DELETE changed, in the same transaction. An INSERT writes
-- none: the task's own row says who filed it and when.
create or replace function audit_task_updates() returns trigger
  language plpgsql security definer set search_path = public, pg_temp
  set enable_seqscan = off set jit = off as $$
begin
  insert into task_events (task_id, run_id, event, from_status, to_status, detail)
  select
    n.id,
    run.id,
    case
      when o.status = n.status then 'edited'
      when n.status = 'running' then 'started'
      when n.status = 'completed' and o.status = 'pending' then 'cancelled'
      when n.status = 'completed' then case when run.live then 'stopped' else 'completed' end
      -- put back by the engine after a failure of the infrastructure or a usage limit
      when run.retry_at is not null then 'requeued'
      else 'rescheduled'
    end,
    o.status,
    n.status,
    case
      when n.status = 'completed' then jsonb_strip_nulls(jsonb_build_object(
        'success', n.result -> 'success', 'code', n.result -> 'code'))
      when o.status = n.status then (
        select jsonb_object_agg(key, 'changed')
        from jsonb_each(to_jsonb(n)) new_column
        where new_column.value is distinct from to_jsonb(o) -> new_column.key)
    end
  from new_rows n
  join old_rows o using (id)
  left join lateral (
    select r.id, r.finished_at is null as live, r.retry_at from runs r
    where r.task_id = n.id
    order by r.attempt desc
    limit 1
  ) run on true
  where o is distinct from n
    -- the pod's name is the engine's own note
    and (o.status <> n.status or o.worker_pod is not distinct from n.worker_pod);
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
