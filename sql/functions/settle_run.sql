-- Settles a run in one transaction: run finished, task completed with its result or put back, child tasks inserted,
-- credential blocked. Called by the settle loop. A late or repeated settle changes nothing and returns 'already'.
--
-- p_outcome is what domain/outcome.ts decided:
--   action         'complete' | 'requeue'; what becomes of the task if it is still the run's own
--   success, failure_code, error, exit_code, logs and the fields of the report
--   retry_after_seconds   with 'requeue': earliest next start
--   blocked_until, blocked_reason   usage limit: nothing with this credential starts before
-- A task is the run's own while it is running and nobody asked the run to stop: after a hand edit only the run ends.
-- Returns 'settled', 'already' or 'unknown'.
-- Locks: the epoch (shared), the task, its run, the credential. Raises MZ001.
create or replace function settle_run(p_epoch bigint, p_run_id uuid, p_outcome jsonb) returns text
  language plpgsql
  set enable_seqscan = off as $$
declare
  v_run runs;
  v_task tasks;
  v_own boolean;
  v_requeue boolean := p_outcome ->> 'action' = 'requeue';
begin
  perform hold_epoch(p_epoch);
  select * into v_run from runs where id = p_run_id;
  if v_run.id is null then
    return 'unknown';
  end if;
  select * into v_task from tasks where id = v_run.task_id for update;
  select * into v_run from runs where id = p_run_id for update;
  if v_run.finished_at is not null then
    return 'already';
  end if;
  v_own := v_task.id is not null and v_task.status = 'running' and v_run.stop_requested_at is null;

  update runs set
    finished_at = myzel_now(),
    success = (p_outcome ->> 'success')::boolean,
    failure_code = p_outcome ->> 'failure_code',
    error = p_outcome ->> 'error',
    exit_code = (p_outcome ->> 'exit_code')::integer,
    retry_at = case when v_own and v_requeue
      then myzel_now() + make_interval(secs => (p_outcome ->> 'retry_after_seconds')::double precision) end,
    branch = p_outcome ->> 'branch',
    commit_sha = p_outcome ->> 'commit_sha',
    cost_usd = (p_outcome ->> 'cost_usd')::numeric,
    input_tokens = (p_outcome ->> 'input_tokens')::bigint,
    output_tokens = (p_outcome ->> 'output_tokens')::bigint,
    cache_read_tokens = (p_outcome ->> 'cache_read_tokens')::bigint,
    cache_creation_tokens = (p_outcome ->> 'cache_creation_tokens')::bigint,
    turns = (p_outcome ->> 'turns')::integer,
    session_id = p_outcome ->> 'session_id',
    model = p_outcome ->> 'model'
  where id = p_run_id;

  if v_own and v_requeue then
    update tasks set status = 'pending' where id = v_task.id;
  elsif v_own then
    update tasks set status = 'completed', result = result_of(v_run, p_outcome) where id = v_task.id;
    if (p_outcome ->> 'success')::boolean then
      perform create_children(v_task, p_outcome -> 'tasks');
    end if;
  end if;

  -- Only ever later: a run that started before the limit was known must not reopen the credential.
  if p_outcome ->> 'blocked_until' is not null then
    update credentials set
      blocked_until = (p_outcome ->> 'blocked_until')::timestamptz,
      blocked_reason = p_outcome ->> 'blocked_reason'
    where name = v_run.credential
      and coalesce(blocked_until < (p_outcome ->> 'blocked_until')::timestamptz, true);
  end if;
  return 'settled';
end $$;

-- The object that people and Green read in tasks.result.
create or replace function result_of(p_run runs, p_outcome jsonb) returns jsonb
  language sql immutable
  return jsonb_build_object(
      'success', p_outcome -> 'success',
      'attempt', p_run.attempt,
      'cost_usd', coalesce(p_outcome -> 'cost_usd', '0'),
      'turns', coalesce(p_outcome -> 'turns', '0'),
      'files_changed', coalesce(p_outcome -> 'files_changed', '[]')
    ) || case when (p_outcome ->> 'success')::boolean
      then jsonb_build_object(
        'summary', p_outcome -> 'summary',
        'branch', p_outcome -> 'branch',
        'commit_sha', p_outcome -> 'commit_sha',
        'pull_request_url', p_outcome -> 'pull_request_url')
      else jsonb_build_object(
        'code', p_outcome -> 'failure_code',
        'error', p_outcome -> 'error',
        'logs', p_outcome -> 'logs')
    end
    || case when p_outcome ? 'checks' and jsonb_typeof(p_outcome -> 'checks') = 'object'
      then jsonb_build_object('checks', p_outcome -> 'checks') else '{}' end
    -- failing work that the profile lets through
    || case when not (p_outcome ->> 'success')::boolean and p_outcome ->> 'commit_sha' is not null
      then jsonb_build_object('branch', p_outcome -> 'branch', 'commit_sha', p_outcome -> 'commit_sha')
      else '{}' end;

-- Inserts the tasks an agent asked for, where its profile allows it. What task_problem refuses is left out and
-- recorded in task_events. Called by settle_run, so exactly once a successful run.
create or replace function create_children(p_parent tasks, p_tasks jsonb) returns void
  language plpgsql as $$
declare
  v_child jsonb;
  v_problem text;
  v_id uuid;
  v_allowed boolean;
begin
  if coalesce(jsonb_typeof(p_tasks), 'null') <> 'array' or jsonb_array_length(p_tasks) = 0 then
    return;
  end if;
  select coalesce(p.may_create_tasks, false) into v_allowed
  from profiles p
  left join task_options o on o.task_id = p_parent.id
  left join addressees a on a.addressee = p_parent.addressee
  where p.name = resolve_profile(p_parent.addressee, o.profile, a.profile);

  for v_child in select value from jsonb_array_elements(p_tasks) with ordinality order by ordinality loop
    v_id := gen_random_uuid();
    v_problem := case when not coalesce(v_allowed, false) then 'The profile of this task may not create tasks.'
      else task_problem(
        coalesce(v_child ->> 'addressee', 'worker-' || v_id), v_child ->> 'prompt',
        coalesce(v_child ->> 'repo_url', p_parent.repo_url), v_child ->> 'branch') end;
    if v_problem is not null then
      insert into task_events (task_id, event, detail)
      values (p_parent.id, 'child_refused', jsonb_build_object('problem', v_problem));
      continue;
    end if;
    insert into tasks (id, addressee, prompt, repo_url, branch, created_by, parent_id)
    values (v_id, coalesce(v_child ->> 'addressee', 'worker-' || v_id), v_child ->> 'prompt',
      coalesce(v_child ->> 'repo_url', p_parent.repo_url), v_child ->> 'branch', p_parent.addressee, p_parent.id);
    if v_child ->> 'kind' is not null then
      insert into task_options (task_id, kind) values (v_id, left(v_child ->> 'kind', 100));
    end if;
  end loop;
end $$;
