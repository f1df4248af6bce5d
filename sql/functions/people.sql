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
-- that waits after a failure now. A note is added to the end of the prompt. Returns the task.
-- Raises MZ002 (note for a task with a live run), MZ005. Locks: the task, then its live run.
create or replace function reschedule(id uuid, note text default null) returns tasks
  language plpgsql security definer set search_path = public, pg_temp as $$
declare
  v_task tasks := demand_task(reschedule.id);
begin
  update runs r set retry_at = null where r.task_id = v_task.id and r.retry_at is not null;
  update tasks t set
    status = 'pending',
    prompt = case when nullif(btrim(note), '') is null then t.prompt else t.prompt || E'\n\n' || btrim(note) end
  where t.id = v_task.id
  returning t.* into v_task;
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
