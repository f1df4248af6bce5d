-- What people call. All of it is also possible by plain INSERT and UPDATE; these say it shorter.

-- Files a task and returns it. The same idempotency key returns the task that it made the first time.
-- Raises MZ002 (content), MZ005 (unknown profile). Locks: the key, until the end of the transaction.
create or replace function enqueue(
  addressee text, prompt text, repo_url text default null, branch text default null,
  created_by text default session_user, base_branch text default null, profile text default null,
  model text default null, effort text default null, idempotency_key text default null, kind text default null,
  parent_id uuid default null
) returns tasks
  language plpgsql as $$
#variable_conflict use_column
declare
  v_task tasks;
begin
  if enqueue.idempotency_key is not null then
    perform pg_advisory_xact_lock(hashtextextended('myzel enqueue ' || enqueue.idempotency_key, 0));
    select t.* into v_task from tasks t join task_options o on o.task_id = t.id
    where o.idempotency_key = enqueue.idempotency_key;
    if v_task.id is not null then
      return v_task;
    end if;
  end if;
  if branch_problem(enqueue.base_branch) is not null then
    raise exception using errcode = 'MZ002', message = 'base_' || branch_problem(enqueue.base_branch);
  end if;
  if enqueue.effort not in ('low', 'medium', 'high', 'xhigh', 'max') then
    raise exception using errcode = 'MZ002', message = format(
      '"%s" is no effort: use low, medium, high, xhigh or max.', enqueue.effort);
  end if;
  if enqueue.idempotency_key !~ '\S' or length(enqueue.idempotency_key) > 200 then
    raise exception using errcode = 'MZ002',
      message = 'The idempotency key is blank or longer than 200 characters: leave it out, or give another one.';
  end if;
  if enqueue.profile is not null and not exists (select from profiles p where p.name = enqueue.profile) then
    raise exception using errcode = 'MZ005', message = format('There is no profile "%s".', enqueue.profile);
  end if;
  insert into tasks (addressee, prompt, repo_url, branch, created_by, parent_id)
  values (enqueue.addressee, enqueue.prompt, enqueue.repo_url, enqueue.branch, enqueue.created_by, enqueue.parent_id)
  returning * into v_task;
  if num_nonnulls(enqueue.base_branch, enqueue.profile, enqueue.model, enqueue.effort, enqueue.idempotency_key,
    enqueue.kind) > 0
  then
    insert into task_options (task_id, base_branch, profile, model, effort, idempotency_key, kind)
    values (v_task.id, enqueue.base_branch, enqueue.profile, enqueue.model, enqueue.effort, enqueue.idempotency_key,
      enqueue.kind);
  end if;
  return v_task;
end $$;

-- The task, locked. Raises MZ005 when there is none.
create or replace function demand_task(p_id uuid) returns tasks
  language plpgsql as $$
declare
  v_task tasks;
begin
  select * into v_task from tasks where id = p_id for update;
  if v_task.id is null then
    raise exception using errcode = 'MZ005', message = format('There is no task %s.', p_id);
  end if;
  return v_task;
end $$;

-- Runs a task again: a completed one from the start, a running one as soon as its live run is gone, a pending one
-- that waits after a failure now. A note is added to the end of the prompt. With "continue" it goes on from what the
-- newest attempt left unpushed: its commits and its session. Returns the task.
-- Raises MZ002 (note for a task with a live run; nothing to go on from), MZ005. Locks: the task, then its live run.
drop function if exists reschedule(uuid, text);
create or replace function reschedule(id uuid, note text default null, continue boolean default false) returns tasks
  language plpgsql security definer set search_path = public, pg_temp as $$
declare
  v_task tasks := demand_task(reschedule.id);
  v_run uuid;
begin
  if reschedule.continue then
    -- what a live run leaves is known when it has been stopped
    select r.id into v_run from runs r
    where r.task_id = v_task.id
      and (r.finished_at is null or exists (select from run_work w where w.run_id = r.id))
    order by r.attempt desc limit 1;
    if v_run is null then
      raise exception using errcode = 'MZ002',
        message = 'No attempt of this task has left any work to go on from: run it again without "continue".';
    end if;
  end if;
  update runs r set retry_at = null where r.task_id = v_task.id and r.retry_at is not null;
  update tasks t set
    status = 'pending',
    prompt = case when nullif(btrim(note), '') is null then t.prompt else t.prompt || E'\n\n' || btrim(note) end
  where t.id = v_task.id
  returning t.* into v_task;
  update task_options o set continue_run = null where o.task_id = v_task.id and o.continue_run is not null;
  if v_run is not null then
    insert into task_options as o (task_id, continue_run) values (v_task.id, v_run)
    on conflict on constraint task_options_pkey do update set continue_run = excluded.continue_run;
  end if;
  return v_task;
end $$;

-- Stops a running task, cancels a pending one; a completed one stays as it is. Returns the task.
-- Raises MZ005. Locks: the task, then its live run.
create or replace function stop(id uuid, reason text default null) returns tasks
  language plpgsql security definer set search_path = public, pg_temp as $$
declare
  v_task tasks := demand_task(stop.id);
begin
  if v_task.status = 'completed' then
    return v_task;
  end if;
  update tasks t set
    status = 'completed',
    result = jsonb_build_object('success', false, 'code', 'stopped', 'error', coalesce(
      nullif(btrim(reason), ''),
      case v_task.status when 'running' then 'Stopped by hand.' else 'Cancelled before it ran.' end))
  where t.id = v_task.id
  returning t.* into v_task;
  return v_task;
end $$;

-- Stops the engine from starting anything, or an addressee's tasks from starting; what runs goes on.
create or replace function pause(addressee text default null) returns void
  language plpgsql security definer set search_path = public, pg_temp as $$
begin
  if pause.addressee is null then
    update engine_state set paused = true;
  else
    insert into addressees as a (addressee, paused) values (pause.addressee, true)
    on conflict on constraint addressees_pkey do update set paused = true;
  end if;
end $$;

create or replace function resume(addressee text default null) returns void
  language plpgsql security definer set search_path = public, pg_temp as $$
begin
  if resume.addressee is null then
    update engine_state set paused = false;
  else
    update addressees a set paused = false where a.addressee = resume.addressee;
  end if;
end $$;

-- Completes a task that is for a person: with an answer to a question, a yes or no (success) to an approval. Whoever
-- asked is woken with it. Returns the task.
-- Raises MZ002 (it is not for a person, or not pending), MZ005. Locks: the task, its epic.
create or replace function answer(id uuid, answer text, success boolean default true) returns tasks
  language plpgsql security definer set search_path = public, pg_temp as $$
declare
  v_task tasks := demand_task(answer.id);
begin
  if v_task.status <> 'pending' then
    raise exception using errcode = 'MZ002', message = format('The task is %s: only a pending one can be answered.', v_task.status);
  end if;
  if (lane_of(v_task)).role is distinct from 'human' then
    raise exception using errcode = 'MZ002', message = format(
      'The task is for %s, which is no person: stop it, or set its status and result by hand.', v_task.addressee);
  end if;
  update tasks t set
    status = 'completed',
    result = jsonb_build_object('success', answer.success, 'summary', coalesce(answer.answer, ''))
      || case when answer.success then '{}' else jsonb_build_object('code', 'refused', 'error', coalesce(
        nullif(btrim(answer.answer), ''), 'A person said no.')) end
  where t.id = v_task.id
  returning t.* into v_task;
  return v_task;
end $$;

-- Moves a pending task ahead of all others of its addressee. Returns the task.
-- Raises MZ002 (not pending, or a run of it is still ending), MZ005. Locks: the task.
create or replace function move_first(id uuid) returns tasks
  language plpgsql security definer set search_path = public, pg_temp as $$
declare
  v_task tasks := demand_task(move_first.id);
begin
  if v_task.status <> 'pending' then
    raise exception using errcode = 'MZ002', message = format('The task is %s: only a pending one can be moved ahead.', v_task.status);
  end if;
  update tasks t set created_at = least(t.created_at, (
    select min(o.created_at) - interval '1 millisecond' from tasks o
    where o.addressee = v_task.addressee and o.status = 'pending' and o.id <> v_task.id))
  where t.id = v_task.id
  returning t.* into v_task;
  return v_task;
end $$;
