-- Settles runs in one transaction: runs finished, tasks completed with their results or put back, child tasks
-- inserted, epics charged, credentials blocked. Called by the settle loop. A late or repeated settle changes nothing.
--
-- p_settlements is an array of objects: run_id, and what domain/outcome.ts decided:
--   action         'complete' | 'requeue'; what becomes of the task if it is still the run's own
--   success, failure_code, error, exit_code, logs and the fields of the report
--   pod_name       of a job whose pod was not noted while it ran
--   job_ended      false: only its report is in. The task is completed; the run keeps its slot until it is settled once
--                  more, without job_ended. Not with 'requeue'.
--   retry_after_seconds   with 'requeue': earliest next start
--   tasks, finish_epic    what the agent left in its outbox; counts with success, and while the task is the run's own
--   blocked_until, blocked_reason   usage limit or overload: nothing with this credential starts before
--   overloads_in_a_row, warned_until   of the credential, where the run says something of them
-- A task is the run's own while it is running and nobody asked the run to stop: after a hand edit only the run ends.
-- Returns a row for each run: 'settled', 'already' (or not the run's own any more, with job_ended false), 'unknown', or
-- 'busy': somebody else is changing its task or its epic in an open transaction, nothing was written, it is to be tried
-- again. Locks: the epoch (shared), the tasks, their epics and the other open tasks of these (waiting a fifth of a second at
-- most for them together), their runs, the credentials. Raises MZ001; MZ006 where this ends an epic and somebody else holds an
-- open task of it: it is to be tried again.
create or replace function settle_runs(p_epoch bigint, p_settlements jsonb)
  returns table (run_id uuid, answer text)
  language plpgsql
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set jit = off
as $$
#variable_conflict use_column
declare
  v_ids uuid[] := array(select distinct (s ->> 'run_id')::uuid from jsonb_array_elements(p_settlements) s);
  v_held uuid[];
  v_busy uuid[];
  v_epics uuid[];
  v_held_epics uuid[] := '{}';
  v_live uuid[];
  v_settled uuid[];
  v_used jsonb;
  v_spent jsonb;
  v_one record;
begin
  perform hold_epoch(p_epoch);

  -- 1. Lock the tasks and their epics, then their live runs: whoever edits one by hand has done so before, or comes after;
  -- who keeps a transaction open holds up his own task or epic only. The other open tasks of these epics too, as far as
  -- nobody has them: this may end the epic, and whoever ends one of its tasks by hand holds that while he waits for the
  -- epic (what he has before us: see hold_open_tasks()).
  for v_try in 0..20 loop
    if v_try > 0 then
      perform pg_sleep(0.01); -- most are done at once; who is not may take an hour
    end if;
    v_held := array(
      select t.id from tasks t
      where t.id = any (array(select r.task_id from runs r where r.id = any (v_ids)))
      for update skip locked);
    v_epics := array(
      select distinct r.epic
      from unnest(v_ids) run (id)
      cross join lateral (select r.epic from runs r where r.id = run.id limit 1) r
      where r.epic is not null);
    if v_epics <> '{}' then
      v_held_epics := array(
        select e.id from epics e where e.id = any (v_epics) order by e.id for update skip locked);
    end if;
    v_busy := '{}';
    exit when cardinality(v_held) = cardinality(v_ids) and cardinality(v_held_epics) = cardinality(v_epics);
    v_busy := array(
      select run.id
      from unnest(v_ids) run (id)
      cross join lateral (select r.task_id, r.epic from runs r where r.id = run.id limit 1) r
      where (r.task_id <> all (v_held) and exists (select from tasks t where t.id = r.task_id))
        or (r.epic <> all (v_held_epics) and exists (select from epics e where e.id = r.epic)));
    exit when v_busy = '{}';
  end loop;
  v_ids := array(select id from unnest(v_ids) id where id <> all (v_busy));
  if v_epics <> '{}' then
    perform from tasks t
    where t.id = any (array(select o.task_id from task_options o where o.epic = any (v_epics))) and t.status <> 'completed'
    for update skip locked;
  end if;
  v_live := array(
    select r.id
    from (select id from unnest(v_ids) id order by id) run
    -- by their keys: not by walking all live runs
    cross join lateral (select r.id, r.finished_at from runs r where r.id = run.id limit 1 for update) r
    where r.finished_at is null);

  -- 2. What few of them have: tasks to create, the end of an epic. Before the tasks end, so that what follows from that
  -- sees what is still to come.
  for v_one in
    select distinct on (r.id) s.value as settlement, r.id, t as task
    from jsonb_array_elements(p_settlements) s
    cross join lateral (
      select r.id, r.task_id, r.stop_requested_at from runs r where r.id = (s.value ->> 'run_id')::uuid limit 1) r
    cross join lateral (select t from tasks t where t.id = r.task_id limit 1) t (t)
    where r.id = any (v_live)
      and (coalesce(s.value -> 'tasks', '[]') not in ('[]', 'null') or jsonb_typeof(s.value -> 'finish_epic') = 'object')
      and (s.value ->> 'success')::boolean and (t).status = 'running' and r.stop_requested_at is null
    order by r.id
  loop
    perform finish_epic(v_one.task, v_one.settlement -> 'finish_epic');
    perform create_children(v_one.task, v_one.id, v_one.settlement -> 'tasks');
  end loop;

  -- 3. The runs; then the tasks that are still theirs. Each row is looked up by its key, then found by its place: it is
  -- locked, so it stays there, and no plan made while the tables were small walks them.
  with settlement as materialized (
    select distinct on (outcome.run_id)
      s.value as settlement, outcome.*, r.row as run_row, r.attempt, t.row as task_row,
      coalesce(t.status = 'running', false) and r.stop_requested_at is null as own
    from jsonb_array_elements(p_settlements) s
    cross join lateral jsonb_to_record(s.value) as outcome (
      run_id uuid, action text, success boolean, failure_code text, error text, exit_code integer,
      retry_after_seconds double precision, branch text, commit_sha text, cost_usd numeric, input_tokens bigint,
      output_tokens bigint, cache_read_tokens bigint, cache_creation_tokens bigint, turns integer, session_id text,
      model text, pod_name text, job_ended boolean)
    cross join lateral (
      select r.ctid as row, r.task_id, r.attempt, r.stop_requested_at from runs r where r.id = outcome.run_id limit 1) r
    left join lateral (select t.ctid as row, t.status from tasks t where t.id = r.task_id limit 1) t on true
    where outcome.run_id = any (v_live)
    order by outcome.run_id
  ), finished as (
    update runs r set
      launched_at = case when s.pod_name is not null then coalesce(r.launched_at, myzel_now()) else r.launched_at end,
      pod_name = coalesce(s.pod_name, r.pod_name),
      finished_at = myzel_now(),
      success = s.success,
      failure_code = s.failure_code,
      error = s.error,
      exit_code = s.exit_code,
      retry_at = case when s.own and s.action = 'requeue'
        then myzel_now() + make_interval(secs => s.retry_after_seconds) end,
      branch = s.branch,
      commit_sha = s.commit_sha,
      cost_usd = s.cost_usd,
      input_tokens = s.input_tokens,
      output_tokens = s.output_tokens,
      cache_read_tokens = s.cache_read_tokens,
      cache_creation_tokens = s.cache_creation_tokens,
      turns = s.turns,
      session_id = s.session_id,
      model = s.model,
      files_changed = case when jsonb_typeof(s.settlement -> 'files_changed') = 'array'
        then nullif(array(select jsonb_array_elements_text(s.settlement -> 'files_changed')), '{}') end
    from settlement s
    where r.ctid = s.run_row and coalesce(s.job_ended, true)
    returning r.id, r.attempt, r.pod_name, s.task_row, s.own, s.action, s.settlement,
      r.epic, r.project, r.profile, r.started_at, r.settled_at is null as first,
      s.input_tokens, s.output_tokens, s.cache_creation_tokens, s.cost_usd, s.branch, s.commit_sha
  ), reported as (
    update runs r set
      launched_at = coalesce(r.launched_at, myzel_now()),
      pod_name = coalesce(s.pod_name, r.pod_name),
      settled_at = myzel_now(),
      stop_requested_at = myzel_now(),
      stop_reason = 'Its report is in.'
    from settlement s
    where r.ctid = s.run_row and not s.job_ended and s.own and s.action = 'complete'
    returning r.id, r.attempt, r.pod_name, s.task_row, s.own, s.action, s.settlement,
      r.epic, r.project, r.profile, r.started_at, true as first,
      s.input_tokens, s.output_tokens, s.cache_creation_tokens, s.cost_usd, s.branch, s.commit_sha
  ), settled as materialized (
    select s.*,
      coalesce(s.input_tokens, 0) + coalesce(s.output_tokens, 0) + coalesce(s.cache_creation_tokens, 0) as tokens
    from (select * from finished union all select * from reported) s
  ), requeued as (
    update tasks t set status = 'pending', started_at = null, worker_pod = null
    from settled f
    where t.ctid = f.task_row and f.own and f.action = 'requeue'
  ), completed as (
    update tasks t set
      status = 'completed', completed_at = myzel_now(), result = result_of(f.attempt, f.settlement),
      worker_pod = coalesce(f.pod_name, t.worker_pod)
    from settled f
    where t.ctid = f.task_row and f.own and f.action <> 'requeue'
  )
  select
    array_agg(id),
    jsonb_agg(jsonb_build_object('epic', epic, 'started_at', started_at, 'tokens', tokens, 'cost_usd', cost_usd,
      'plan', (select jsonb_build_object('branch', branch, 'commit', commit_sha) from profiles p
        where p.name = profile and p.role = 'green')))
      filter (where epic is not null and first),
    jsonb_agg(jsonb_build_object('project', project, 'tokens', tokens, 'cost_usd', cost_usd))
      filter (where first and (project is not null or cost_usd > 0))
  into v_settled, v_used, v_spent
  from settled;

  -- 4. What few of them have: a usage limit, an overload, a warning.
  for v_one in
    select s.value as settlement, r.credential
    from jsonb_array_elements(p_settlements) s
    cross join lateral (select r.credential from runs r where r.id = (s.value ->> 'run_id')::uuid limit 1) r
    where coalesce(s.value ->> 'blocked_until', s.value ->> 'warned_until') is not null
      and (s.value ->> 'run_id')::uuid = any (v_settled)
    order by r.credential
  loop
    -- Only ever later: a run that started before the limit was known must not reopen the credential.
    update credentials set
      blocked_until = (v_one.settlement ->> 'blocked_until')::timestamptz,
      blocked_reason = v_one.settlement ->> 'blocked_reason'
    where name = v_one.credential
      and coalesce(blocked_until < (v_one.settlement ->> 'blocked_until')::timestamptz,
        v_one.settlement ->> 'blocked_until' is not null);
    update credentials set
      overloads_in_a_row = coalesce((v_one.settlement ->> 'overloads_in_a_row')::integer, overloads_in_a_row),
      warned_until = greatest(warned_until, (v_one.settlement ->> 'warned_until')::timestamptz)
    where name = v_one.credential and (
      v_one.settlement ->> 'overloads_in_a_row' is not null
      or coalesce(warned_until < (v_one.settlement ->> 'warned_until')::timestamptz,
        v_one.settlement ->> 'warned_until' is not null));
  end loop;
  -- A success: the service is no longer too busy.
  if exists (select from credentials where overloads_in_a_row > 0) then
    update credentials set overloads_in_a_row = 0
    where overloads_in_a_row > 0 and name = any (array(
      select r.credential
      from jsonb_array_elements(p_settlements) s
      cross join lateral (select r.credential from runs r where r.id = (s.value ->> 'run_id')::uuid limit 1) r
      where (s.value ->> 'success')::boolean));
  end if;

  -- 5. What their epics and projects have used: counted with the first settle of a run.
  if v_used is not null then
    perform spend_on_epics(v_used);
  end if;
  if v_spent is not null then
    perform add_project_spend(v_spent);
  end if;

  -- 6. What would be repeated of an epic that has ended while it ran is not: a finish lets running work end, no more.
  -- (What somebody has run again since then is repeated.)
  if v_epics <> '{}' then
    update tasks t set status = 'completed', result = jsonb_build_object('success', false, 'code', 'stopped',
      'error', format('Its epic has ended (%s): it is not repeated after %s.', put_back.end_code, put_back.failure_code))
    from (
      select r.task_id, r.failure_code, e.end_code
      from unnest(v_settled) settled (id)
      cross join lateral (
        select r.task_id, r.failure_code, r.epic, r.started_at, r.retry_at from runs r where r.id = settled.id limit 1) r
      cross join lateral (select e.state, e.end_code, e.ended_at from epics e where e.id = r.epic limit 1) e
      where r.retry_at is not null and e.state <> 'active' and r.started_at <= e.ended_at
    ) put_back
    where t.id = put_back.task_id and t.status = 'pending';
  end if;

  return query
  select id, case
    when id = any (v_settled) then 'settled'
    when id = any (v_busy) then 'busy'
    when exists (select from runs r where r.id = ids.id) then 'already'
    else 'unknown' end
  from unnest(v_ids || v_busy) ids (id);
end $$;

-- The same for one run.
create or replace function settle_run(p_epoch bigint, p_run_id uuid, p_settlement jsonb) returns text
  language sql as $$
  select answer from settle_runs(
    p_epoch, jsonb_build_array(p_settlement || jsonb_build_object('run_id', p_run_id)));
$$;

-- The object that people and Green read in tasks.result.
create or replace function result_of(p_attempt integer, p_outcome jsonb) returns jsonb
  language sql stable -- as jsonb_build_object is: so it is inlined
  return jsonb_build_object(
      'success', p_outcome -> 'success',
      'attempt', p_attempt,
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
    || case when (p_outcome ->> 'work_kept')::boolean then jsonb_build_object('work_kept', true) else '{}' end
    -- failing work that the profile lets through
    || case when not (p_outcome ->> 'success')::boolean and p_outcome ->> 'commit_sha' is not null
      then jsonb_build_object('branch', p_outcome -> 'branch', 'commit_sha', p_outcome -> 'commit_sha')
      else '{}' end;
