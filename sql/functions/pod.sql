-- What a pod may call (with kept_work.sql), and nothing else. Each demands the run's own token, which works only while
-- the run is live; the first load_brief binds the run to one pod (or process), and a second one is turned away.
-- All raise MZ003 when the token is not accepted: the same sentence for every reason, so that nothing can be probed.

-- Locks: the run's row. Raises MZ003.
create or replace function demand_run(p_run_id uuid, p_token text, p_bound_to text, p_bind boolean) returns runs
  language plpgsql set search_path = public, pg_temp
  set enable_seqscan = off set jit = off as $$
declare
  v_run runs;
begin
  select * into v_run from runs
  where id = p_run_id
    and finished_at is null
    and stop_requested_at is null
    and token_hash = sha256(convert_to(p_token, 'UTF8'))
  for update;
  if v_run.id is null
    or coalesce(p_bound_to, '') = ''
    or (v_run.bound_to is null and not p_bind)
    or v_run.bound_to <> p_bound_to
  then
    raise exception using errcode = 'MZ003',
      message = 'This run is over, or belongs to another pod: nothing was done.';
  end if;
  return v_run;
end $$;

-- Returns the run's brief (worker-image/contract.ts) and binds the run to p_bound_to. May be repeated by that one.
create or replace function load_brief(p_run_id uuid, p_token text, p_bound_to text) returns jsonb
  language plpgsql security definer set search_path = public, pg_temp
  set enable_seqscan = off set jit = off as $$
declare
  v_run runs := demand_run(p_run_id, p_token, p_bound_to, true);
begin
  update runs set bound_to = p_bound_to where id = p_run_id and bound_to is null;
  return run_brief(v_run);
end $$;

-- The brief of a run whose token was accepted. Raises MZ003 where its task or profile is gone.
create or replace function run_brief(p_run runs) returns jsonb
  language plpgsql stable set search_path = public, pg_temp
  set enable_seqscan = off set jit = off as $$
declare
  v_brief jsonb;
begin
  select jsonb_build_object(
    'run_id', p_run.id,
    'task_id', t.id,
    'attempt', p_run.attempt,
    'addressee', t.addressee,
    'prompt', t.prompt,
    'repo_url', t.repo_url,
    'branch', case when t.repo_url is not null then coalesce(
      t.branch, case when p.role = 'green' and e.id is not null then plan.branch end, 'myzel/' || t.id) end,
    'base_branch', o.base_branch,
    'default_branch', known.default_branch,
    'created_by', t.created_by,
    'parent_id', t.parent_id,
    'kind', o.kind,
    'profile', jsonb_build_object(
      'name', p.name,
      'role', p.role,
      'model', coalesce(o.model, p.model),
      'effort', coalesce(o.effort, p.effort),
      'system_prompt', p.system_prompt,
      'max_turns', p.max_turns,
      'max_cost_usd', p.max_cost_usd,
      'time_limit_seconds', ceil(extract(epoch from p.time_limit)),
      'first_output_seconds', ceil(extract(epoch from p.first_output_limit)),
      'silence_seconds', ceil(extract(epoch from p.silence_limit)),
      'setup_command', case when p.role = 'red' then known.setup_command end,
      'check_command', coalesce(p.check_command, case when p.role = 'red' then known.check_command end),
      'check_tries', p.check_tries,
      'push_failing_work', p.push_failing_work,
      'may_push_default_branch', p.may_push_default_branch
        or (coalesce(o.kind, '') = 'merge' and merge_policy(known, t.repo_url) <> 'pull_request'),
      'run_commit_hooks', p.run_commit_hooks,
      'may_create_tasks', p.may_create_tasks,
      'trust_repository', p.trust_repository,
      'environment', p.environment,
      'mcp_servers', p.mcp_servers,
      'skills', p.skills),
    'epic', case when e.id is not null then jsonb_build_object(
      'id', e.id, 'title', e.title, 'plan_branch', plan.branch, 'approver', coalesce(known.approver, 'blue')) end,
    'merge', case when o.kind = 'merge' then jsonb_build_object(
      'source', coalesce(o.merge_branch, t.branch),
      'target', known.default_branch,
      'policy', merge_policy(known, t.repo_url),
      'changed_since_approval', case when merge_policy(known, t.repo_url) = 'approval' then
        changed_since_approval(t, coalesce(o.merge_branch, t.branch)) end) end,
    'pull_request', coalesce(o.pull_request, false),
    'host', jsonb_build_object('api', host_api(known, t.repo_url), 'api_url', known.host_api_url),
    'files', wake_up_files(t.id),
    'continues', brief_continues(p_run),
    -- the newest of the attempts that the engine repeated by itself: its commit may be on the remote already
    -- (a hand edit that runs a task again clears retry_at of all of them)
    'announced', (
      select earlier.announced from runs earlier
      where earlier.task_id = p_run.task_id and earlier.attempt < p_run.attempt and earlier.retry_at is not null
        and earlier.announced is not null
      order by earlier.attempt desc
      limit 1))
  into v_brief
  from tasks t
  left join task_options o on o.task_id = t.id
  join profiles p on p.name = p_run.profile
  left join epics e on e.id = o.epic
  left join projects known on known.name = p_run.project
  cross join lateral (select coalesce(e.plan_branch, known.plan_branch, 'myzel/plan') as branch) plan
  where t.id = p_run.task_id;
  if v_brief is null then
    raise exception using errcode = 'MZ003',
      message = 'This run is over, or belongs to another pod: nothing was done.';
  end if;
  return v_brief;
end $$;

-- Keeps the agent's stream (gzip of JSON lines, at most 64 MiB); replaces what this run stored before.
create or replace function store_transcript(
  p_run_id uuid, p_token text, p_bound_to text, p_content bytea, p_raw_bytes bigint, p_truncated boolean
) returns void
  language plpgsql security definer set search_path = public, pg_temp as $$
begin
  perform demand_run(p_run_id, p_token, p_bound_to, false);
  if octet_length(p_content) > 67108864 then
    raise exception using errcode = 'MZ002', message = 'A transcript may have at most 64 MiB.';
  end if;
  insert into run_transcripts (run_id, content, raw_bytes, truncated)
  values (p_run_id, p_content, p_raw_bytes, p_truncated)
  on conflict (run_id) do update set
    content = excluded.content, raw_bytes = excluded.raw_bytes, truncated = excluded.truncated,
    stored_at = excluded.stored_at;
end $$;

-- Stores what publish announces before it pushes (p_final false) or the report the engine settles from (true).
-- A final report stays: a repeated one changes nothing.
create or replace function write_report(
  p_run_id uuid, p_token text, p_bound_to text, p_report jsonb, p_final boolean
) returns void
  language plpgsql security definer set search_path = public, pg_temp as $$
begin
  perform demand_run(p_run_id, p_token, p_bound_to, false);
  if jsonb_typeof(p_report) is distinct from 'object' or pg_column_size(p_report) > 8388608 then
    raise exception using errcode = 'MZ002', message = 'A report is a JSON object of at most 8 MiB.';
  end if;
  if p_final then
    update runs set report = p_report where id = p_run_id and report is null;
    perform pg_notify('myzel', '');
  else
    update runs set announced = p_report where id = p_run_id;
  end if;
end $$;

-- Of these epics (of the first 10,000 of them) those that ended more than 14 days ago, with the commit of the plan as
-- their Green last left it: publish takes their sections out of the plan. None that no Green planned. Raises MZ003.
-- Locks: the run's row.
create or replace function ended_epics(p_run_id uuid, p_token text, p_bound_to text, p_ids uuid[])
  returns table (id uuid, plan_commit text)
  language plpgsql security definer set search_path = public, pg_temp
  set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
begin
  perform demand_run(p_run_id, p_token, p_bound_to, false);
  return query
    select e.id, e.plan_commit from epics e
    where e.id = any (p_ids[1:10000]) and e.ended_at < myzel_now() - interval '14 days' and e.plan_commit is not null
    order by e.ended_at;
end $$;
