-- The guard of hand edits. It judges the row that comes out, not who writes it, so the engine's own login in psql
-- cannot break it either. Raises MZ002 with a sentence that says what to do instead.
-- Locks: the task's row (by the UPDATE itself), then its live run, if that is to be stopped.
create or replace function guard_task_update() returns trigger
  language plpgsql security definer set search_path = public, pg_temp
  set enable_seqscan = off set jit = off as $$
declare
  v_live runs;
  v_content_changed boolean := (new.addressee, new.prompt, new.repo_url, new.branch)
    is distinct from (old.addressee, old.prompt, old.repo_url, old.branch);
  v_problem text;
begin
  if new.status is null or new.status not in ('pending', 'running', 'completed') then
    v_problem := format('"%s" is no status: use pending (run it, again) or completed (stop or cancel it).', new.status);
  elsif (new.id, new.parent_id, new.created_by) is distinct from (old.id, old.parent_id, old.created_by) then
    v_problem := 'id, parent_id and created_by of a task stay as they are.';
  end if;
  if v_problem is not null then
    raise exception using errcode = 'MZ002', message = v_problem;
  end if;

  select * into v_live from runs where task_id = old.id and finished_at is null;

  -- Content may change while the task is (or becomes) pending and nothing works on it.
  if v_content_changed or new.created_at is distinct from old.created_at then
    if new.status <> 'pending' or v_live.id is not null then
      raise exception using errcode = 'MZ002', message = format(
        'Only a pending task without a live run can be changed, and this one %s: stop it and wait until its run has ended, or insert another task.',
        case when v_live.id is null then 'is ' || new.status
          else format('has the live run %s (attempt %s)', v_live.id, v_live.attempt) end);
    end if;
    v_problem := task_problem(new.addressee, new.prompt, new.repo_url, new.branch);
    if v_problem is not null then
      raise exception using errcode = 'MZ002', message = v_problem;
    end if;
  end if;

  if new.status = 'running' then
    if v_live.id is null or v_live.stop_requested_at is not null then
      raise exception using errcode = 'MZ002',
        message = 'Only the engine starts runs: set status to pending and the task starts as soon as a slot is free.';
    end if;
    new.started_at := coalesce(new.started_at, v_live.started_at);
    return new;
  end if;

  if new.status = 'pending' then
    if old.status = 'pending' and new.result is not null then
      raise exception using errcode = 'MZ002',
        message = 'A pending task has no result: set status to completed together with the result.';
    end if;
    new.started_at := null;
    new.completed_at := null;
    new.result := null;
    new.worker_pod := null;
    return new;
  end if;

  -- completed
  if old.status <> 'completed' then
    new.completed_at := coalesce(new.completed_at, myzel_now());
    new.result := coalesce(new.result, jsonb_build_object(
      'success', false,
      'code', 'stopped',
      'error', case old.status when 'running' then 'Stopped by hand.' else 'Cancelled before it ran.' end));
  end if;
  if new.result is null or jsonb_typeof(new.result) <> 'object' then
    raise exception using errcode = 'MZ002', message = 'result of a completed task must be a JSON object.';
  end if;
  return new;
end $$;

create or replace trigger tasks_guard_update
  before update on tasks
  for each row execute function guard_task_update();

-- After a task left `running` by an edit, or was deleted: its live run, if one is left, is to be stopped. A settle
-- finishes the run first and so finds nothing here. A hand edit also ends the chain of repeated attempts.
create or replace function follow_task_edit() returns trigger
  language plpgsql security definer set search_path = public, pg_temp
  set enable_seqscan = off set jit = off as $$
declare
  v_stopped integer := 0;
begin
  if tg_op = 'UPDATE' and new.status = 'running' then
    return null;
  end if;
  if old.status = 'running' or tg_op = 'DELETE' then
    update runs set
      stop_requested_at = myzel_now(),
      stop_reason = case
        when tg_op = 'DELETE' then 'task deleted'
        when new.status = 'pending' then 'rescheduled'
        else coalesce(new.result ->> 'error', 'completed by hand') end
    where task_id = old.id and finished_at is null and stop_requested_at is null;
    get diagnostics v_stopped = row_count;
    if v_stopped > 0 then
      perform pg_notify('myzel', '');
    end if;
  end if;
  if tg_op = 'UPDATE' and old.status = 'pending' then
    -- what is to be done has changed: work that an earlier attempt announced is not it
    update runs set announced = null where task_id = old.id and announced is not null;
  elsif tg_op = 'UPDATE' and new.status = 'pending' and (old.status = 'completed' or v_stopped > 0) then
    -- put back by hand, not by the engine, which finishes the run first
    update runs set retry_at = null where task_id = old.id and retry_at is not null;
  end if;
  return null;
end $$;

create or replace trigger tasks_follow_update
  after update on tasks
  for each row
  when (old.status <> 'pending' and old.status is distinct from new.status)
  execute function follow_task_edit();

create or replace trigger tasks_follow_content
  after update on tasks
  for each row
  when (old.status = 'pending' and new.status = 'pending'
    and (old.addressee, old.prompt, old.repo_url, old.branch)
      is distinct from (new.addressee, new.prompt, new.repo_url, new.branch))
  execute function follow_task_edit();

create or replace trigger tasks_follow_delete
  after delete on tasks
  for each row execute function follow_task_edit();

create or replace function refuse_truncate() returns trigger
  language plpgsql as $$
begin
  raise exception using errcode = 'MZ002',
    message = format('TRUNCATE would leave live runs without their tasks: use DELETE FROM %I.', tg_table_name);
end $$;

create or replace trigger tasks_refuse_truncate
  before truncate on tasks
  for each statement execute function refuse_truncate();
create or replace trigger runs_refuse_truncate
  before truncate on runs
  for each statement execute function refuse_truncate();
