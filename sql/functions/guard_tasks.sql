-- The guards of hand edits. They judge the row that comes out, not who writes it, so the engine's own login in psql
-- cannot break them either, and they cost the engine's own updates, which are whole, next to nothing.
-- Raise MZ002 with a sentence that says what to do instead.

-- What a task is: may change while it is (or becomes) pending and nothing works on it.
create or replace function guard_task_content() returns trigger
  language plpgsql security definer set search_path = public, pg_temp
  set enable_seqscan = off set jit = off as $$
declare
  v_live runs;
  v_problem text;
begin
  if (new.id, new.parent_id, new.created_by) is distinct from (old.id, old.parent_id, old.created_by) then
    raise exception using errcode = 'MZ002', message = 'id, parent_id and created_by of a task stay as they are.';
  end if;
  if (new.addressee, new.prompt, new.repo_url, new.branch, new.created_at)
    is not distinct from (old.addressee, old.prompt, old.repo_url, old.branch, old.created_at) then
    return new;
  end if;
  select * into v_live from runs where task_id = old.id and success is null;
  if new.status is distinct from 'pending' or v_live.id is not null then
    raise exception using errcode = 'MZ002', message = format(
      'Only a pending task without a live run can be changed, and this one %s: stop it and wait until its run has ended, or insert another task.',
      case when v_live.id is null then 'is ' || new.status
        else format('has the live run %s (attempt %s)', v_live.id, v_live.attempt) end);
  end if;
  v_problem := task_problem(new.addressee, new.prompt, new.repo_url, new.branch);
  if v_problem is not null then
    raise exception using errcode = 'MZ002', message = v_problem;
  end if;
  return new;
end $$;

create or replace trigger tasks_guard_content
  before update of id, parent_id, created_by, created_at, addressee, prompt, repo_url, branch on tasks
  for each row execute function guard_task_content();

-- How far it is: fills in what an edit of status left open, and refuses what makes no sense.
create or replace function guard_task_status() returns trigger
  language plpgsql security definer set search_path = public, pg_temp as $$
begin
  case coalesce(new.status, '')
    when 'pending' then
      if old.status = 'pending' and new.result is not null then
        raise exception using errcode = 'MZ002',
          message = 'A pending task has no result: set status to completed together with the result.';
      end if;
      new.started_at := null;
      new.completed_at := null;
      new.result := null;
      new.worker_pod := null;
    when 'running' then
      if num_nonnulls(new.completed_at, new.result) > 0 then
        if old.status = 'running' then
          raise exception using errcode = 'MZ002', message = 'A running task has no result yet: set status to completed '
            'together with the result, and its run is stopped.';
        end if;
        perform refuse_running();
      end if;
      new.started_at := myzel_now(); -- and follow_task_updates() looks for its run
    when 'completed' then
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
    else
      raise exception using errcode = 'MZ002', message = format(
        '"%s" is no status: use pending (run it, again) or completed (stop or cancel it).', new.status);
  end case;
  return new;
end $$;

create or replace function refuse_running() returns void
  language plpgsql as $$
begin
  raise exception using errcode = 'MZ002',
    message = 'Only the engine starts runs: set status to pending and the task starts as soon as a slot is free.';
end $$;

create or replace trigger tasks_guard_status
  before update of status, started_at, completed_at, result, worker_pod on tasks
  for each row
  when (not coalesce(
    case new.status
      when 'pending' then num_nonnulls(new.started_at, new.completed_at, new.result, new.worker_pod) = 0
      when 'running' then new.started_at is not null and num_nonnulls(new.completed_at, new.result) = 0
      when 'completed' then new.completed_at is not null and jsonb_typeof(new.result) = 'object'
    end, false))
  execute function guard_task_status();

-- What is to be done has changed: work that an earlier attempt announced is not it.
create or replace function follow_task_content() returns trigger
  language plpgsql security definer set search_path = public, pg_temp
  set enable_seqscan = off set jit = off as $$
begin
  update runs set announced = null where task_id = old.id and announced is not null;
  return null;
end $$;

create or replace trigger tasks_follow_content
  after update of addressee, prompt, repo_url, branch on tasks
  for each row
  when ((old.addressee, old.prompt, old.repo_url, old.branch)
    is distinct from (new.addressee, new.prompt, new.repo_url, new.branch))
  execute function follow_task_content();

create or replace function follow_task_deletes() returns trigger
  language plpgsql security definer set search_path = public, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  update runs r set stop_requested_at = myzel_now(), stop_reason = 'task deleted'
  from old_rows o
  where r.task_id = o.id and r.success is null and r.stop_requested_at is null;
  if found then
    perform pg_notify('myzel', '');
  end if;
  perform follow_deleted_task(o) from old_rows o
  where o.status <> 'completed'
    and (o.created_by like any (array(select p.addressee_pattern from profiles p where p.role = 'green'))
      -- as whatever an agent creates; and its addressee may have a profile of its own
      or (o.parent_id is not null and is_green(o.created_by))
      or o.id in (select e.id from epics e where e.state = 'active'));
  return null;
end $$;

create or replace trigger tasks_follow_delete
  after delete on tasks
  referencing old table as old_rows
  for each statement execute function follow_task_deletes();

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
