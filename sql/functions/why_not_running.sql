-- A time span as people say it: "3 s", "12 min", "5 h".
create or replace function say_duration(p_duration interval) returns text
  language sql immutable
  return case
    when p_duration < interval '2 minutes' then greatest(0, round(extract(epoch from p_duration))) || ' s'
    when p_duration < interval '2 hours' then round(extract(epoch from p_duration) / 60) || ' min'
    else round(extract(epoch from p_duration) / 3600) || ' h'
  end;

-- A moment as people read it, in the session's time zone.
create or replace function say_time(p_at timestamptz) returns text
  language sql stable
  return to_char(p_at, 'YYYY-MM-DD HH24:MI:SS TZ');

-- Names the one thing a task waits for: one row of a code and a sentence; no row for an unknown id. Codes: completed,
-- running; and for pending tasks head, stopping_run, no_engine, engine_paused, addressee_paused, slot, retry, human,
-- project_paused, project_cost, project_limit, epic_limit, paths, credential, cost_limit, global_limit, starting; the first
-- that holds is named. Reads only; takes no locks.
create or replace function why_not_running(id uuid) returns table (reason text, explanation text)
  language plpgsql stable security definer set search_path = public, pg_temp as $$
declare
  v_task tasks;
  v_head tasks;
  v_engine engine_state;
  v_gate record;
  v_lane record;
begin
  select * into v_task from tasks t where t.id = why_not_running.id;
  if v_task.id is null then
    return;
  end if;
  if v_task.status = 'completed' then
    return query select 'completed', format('The task is completed since %s (success: %s); set status to pending to run it again.',
      say_time(v_task.completed_at), coalesce(v_task.result ->> 'success', 'not said'));
    return;
  elsif v_task.status = 'running' then
    return query select 'running', coalesce((
      select format('The task runs: attempt %s for %s%s.%s', r.attempt, say_duration(myzel_now() - r.started_at),
        case when r.pod_name is null then ', its job is being started' else ' on ' || r.pod_name end,
        ' Its job waits: ' || r.waiting_for)
      from runs r where r.task_id = v_task.id and r.finished_at is null), 'The task runs.');
    return;
  end if;

  select * into v_engine from engine_state;
  select t.* into v_head from tasks t
  where t.addressee = v_task.addressee and t.status = 'pending'
  order by t.created_at, t.id limit 1;

  if v_head.id <> v_task.id then
    select w.* into v_gate from why_not_running(v_head.id) w;
    return query
    select 'head', format('%s of "%s" %s ahead of it, the oldest is %s (%s), which waits: %s',
      ahead.count || case ahead.count when 1 then ' task' else ' tasks' end, v_task.addressee,
      case ahead.count when 1 then 'is' else 'are' end,
      v_head.id, v_gate.reason, v_gate.explanation)
    from (
      select count(*) from tasks t
      where t.addressee = v_task.addressee and t.status = 'pending'
        and (t.created_at, t.id) < (v_task.created_at, v_task.id)) ahead;
    return;
  end if;

  select
    r.id as run_id, r.attempt, r.host, r.stop_requested_at, r.failure_code, r.finished_at, r.retry_at
  into v_gate
  from runs r where r.task_id = v_task.id order by r.attempt desc limit 1;
  if v_gate.run_id is not null and v_gate.finished_at is null then
    return query select 'stopping_run', format('Its last run %s (attempt %s) is still ending%s.', v_gate.run_id,
      v_gate.attempt, unwatched(v_gate.host, v_engine));
    return;
  end if;
  if not engine_is_live() then
    return query select 'no_engine', case when b.beat_at is null
      then 'No engine is running: start one with "myzel up" or "myzel engine".'
      else format('No engine is running (the last one on %s was seen %s ago): start one with "myzel up" or "myzel engine".',
        v_engine.host, say_duration(myzel_now() - b.beat_at)) end
      from engine_beat b;
    return;
  end if;
  if v_engine.paused then
    return query select 'engine_paused', 'The engine is paused: "myzel resume" lets tasks start again.';
    return;
  end if;
  return query select w.* from addressee_gate(v_task.addressee, v_engine) w;
  if found then
    return;
  end if;
  if v_gate.retry_at > myzel_now() then
    return query select 'retry', format('Attempt %s ended for a reason of the infrastructure (%s); the next one starts in %s.',
      v_gate.attempt, v_gate.failure_code, say_duration(v_gate.retry_at - myzel_now()));
    return;
  end if;
  select * into v_lane from lane_of(v_task);
  return query select w.* from person_gate(v_task, v_lane) w;
  if found then
    return;
  end if;
  return query select w.* from shared_gate(v_task, v_lane) w;
  if found then
    return;
  end if;
  return query select w.* from credential_gate(v_lane.credential) w;
  if found then
    return;
  end if;
  if day_is_spent(v_engine.max_daily_cost_usd) then
    return query select 'cost_limit', format(
      'Today''s runs have cost $%s of $%s a day (engine_state.max_daily_cost_usd); nothing starts before %s (in %s).',
      round(spent_today(''), 2), round(v_engine.max_daily_cost_usd, 2), say_time(next_utc_day()),
      say_duration(next_utc_day() - myzel_now()));
    return;
  end if;
  select count(*) as live into v_gate from runs r where r.finished_at is null;
  if v_gate.live >= v_engine.max_live_runs then
    return query select 'global_limit', format('All %s places for live runs are taken (MYZEL_MAX_LIVE_RUNS); it starts when one is free.',
      v_engine.max_live_runs);
    return;
  end if;
  return query select 'starting', 'Nothing stands in its way: the engine is about to start it.';
end $$;

-- " on host X, which no engine watches", where only an engine of that host could call the run gone.
create or replace function unwatched(p_host text, p_engine engine_state) returns text
  language sql stable
  return case when p_host is null or (p_host = p_engine.host and engine_is_live()) then ''
    else format(' on host %s, which no engine watches now: only one on that host can call it gone', p_host) end;

-- Whether the addressee itself lets nothing start: paused, human, or all slots taken.
create or replace function addressee_gate(p_addressee text, p_engine engine_state)
  returns table (reason text, explanation text)
  language plpgsql stable set search_path = public, pg_temp as $$
declare
  v_addressee addressees;
  v_capacity integer;
  v_live bigint;
  v_oldest runs;
begin
  select a.* into v_addressee from addressees a where a.addressee = p_addressee;
  v_capacity := coalesce(v_addressee.capacity, 1);
  if v_addressee.paused then
    return query select 'addressee_paused', format('Addressee "%s" is paused: resume(''%s'') or "myzel resume %s" lets its tasks start again.',
      p_addressee, p_addressee, p_addressee);
    return;
  end if;
  select count(*) into v_live from runs r where r.addressee = p_addressee and r.finished_at is null;
  if v_live < v_capacity then
    return;
  end if;
  select r.* into v_oldest from runs r
  where r.addressee = p_addressee and r.finished_at is null order by r.started_at limit 1;
  return query select 'slot', case
    when v_oldest.id is null then format('Addressee "%s" has capacity 0.', p_addressee)
    else format('%s: run %s of task %s, for %s%s%s.',
      case v_capacity when 1 then format('The only slot of "%s" is taken', p_addressee)
        else format('All %s slots of "%s" are taken', v_capacity, p_addressee) end,
      v_oldest.id, v_oldest.task_id, say_duration(myzel_now() - v_oldest.started_at),
      case when v_oldest.settled_at is not null then ', which is ending'
        when v_oldest.stop_requested_at is not null then ', which is being stopped' else '' end,
      unwatched(v_oldest.host, p_engine)) end;
end $$;

-- What the lane of this task is, or would be, were it the head: asked anew, because a claim may not have made it yet.
create or replace function lane_of(
  p_task tasks, out profile text, out role text, out credential text, out project text, out epic uuid, out paths text[]
)
  language plpgsql stable set search_path = public, pg_temp as $$
declare
  v_project projects := project_of(p_task.repo_url);
  v_options task_options;
begin
  select * into v_options from task_options o where o.task_id = p_task.id;
  project := v_project.name;
  epic := v_options.epic;
  paths := case when p_task.repo_url is not null then normal_paths(v_options.paths) end;
  select p.name, p.role, coalesce(v_project.credential, p.credential) into profile, role, credential
  from profiles p
  where p.name = resolve_profile(p_task.addressee, v_options.profile,
    (select a.profile from addressees a where a.addressee = p_task.addressee),
    v_project.green_profile, v_project.red_profile);
end $$;

-- Whether the engine never starts it: it is for a person, or for nobody.
create or replace function person_gate(p_task tasks, p_lane record) returns table (reason text, explanation text)
  language plpgsql stable set search_path = public, pg_temp as $$
begin
  if p_lane.profile is null then
    return query select 'profile', 'No profile fits this addressee: insert one into profiles.';
  elsif p_lane.role = 'human' then
    return query select 'human', format('It is for a person (profile "%s"): answer it with myzel answer %s "…".',
      p_lane.profile, p_task.id);
  end if;
end $$;

-- Whether its project, its epic or its paths let nothing start: shut_gate() in sentences.
create or replace function shared_gate(p_task tasks, p_lane record) returns table (reason text, explanation text)
  language plpgsql stable set search_path = public, pg_temp as $$
declare
  v_gate record := shut_gate(p_lane.project, p_lane.epic, p_lane.paths, p_task.repo_url);
  v_project projects;
begin
  select * into v_project from projects p where p.name = p_lane.project;
  return query select v_gate.reason, case v_gate.reason
    when 'project_paused' then format('Project "%s" is paused: "myzel project resume %s" lets its tasks start again.',
      p_lane.project, p_lane.project)
    when 'project_cost' then format(
      'Project "%s" has cost $%s today, of $%s a day (max_daily_cost_usd); nothing of it starts before %s (in %s).',
      p_lane.project, round(spent_today(p_lane.project), 2), round(v_project.max_daily_cost_usd, 2),
      say_time(v_gate.opens_at), say_duration(v_gate.opens_at - myzel_now()))
    when 'project_limit' then format(
      'Project "%s" has as many live runs as it may have (max_live_runs %s); it starts when one of them has ended.',
      p_lane.project, v_project.max_live_runs)
    when 'epic_limit' then (
      select format(
        'Epic "%s" has as many live runs as it may have (max_live_runs %s); it starts when one of them has ended.',
        e.title, e.max_live_runs)
      from epics e where e.id = p_lane.epic)
    when 'paths' then (
      select format('Run %s of task %s works on %s of the same repository, for %s; it starts when that has ended.',
        r.id, r.task_id, case overlap.path when '.' then 'the whole' else overlap.path end,
        say_duration(myzel_now() - r.started_at))
      from runs r
      cross join lateral (select overlapping_path(r.paths, p_lane.paths) as path) overlap
      where repository_key(r.repo_url) = repository_key(p_task.repo_url) and r.finished_at is null
        and r.paths is not null and overlap.path is not null
      order by r.started_at
      limit 1)
    end
  where v_gate.reason is not null;
end $$;

drop function if exists credential_gate(tasks, engine_state);

-- Whether the credential lets nothing start.
create or replace function credential_gate(p_name text) returns table (reason text, explanation text)
  language plpgsql stable set search_path = public, pg_temp as $$
declare
  v_credential credentials;
begin
  select c.* into v_credential from credentials c where c.name = p_name;
  if v_credential.problem is not null then
    return query select 'credential', format('Credential "%s" cannot be used: %s', v_credential.name, v_credential.problem);
  elsif v_credential.blocked_until > myzel_now() then
    return query select 'credential', format('Credential "%s" is blocked %s: %s', v_credential.name,
      case when isfinite(v_credential.blocked_until)
        then format('until %s (in %s)', say_time(v_credential.blocked_until),
          say_duration(v_credential.blocked_until - myzel_now()))
        else 'until blocked_until is cleared by hand' end,
      coalesce(v_credential.blocked_reason, 'usage limit'));
  elsif v_credential.keep_reserve and v_credential.warned_until > myzel_now() then
    return query select 'credential', format(
      'The service warns that the limit of credential "%s" is near, and it keeps a reserve (keep_reserve): nothing starts with it before %s (in %s).',
      v_credential.name, say_time(v_credential.warned_until), say_duration(v_credential.warned_until - myzel_now()));
  elsif not exists (select from open_credentials c where c.name = p_name and (c.room is null or c.room > 0)) then
    return query select 'credential', format(
      'Credential "%s" has as many live runs as it may have (max_live_runs %s); it starts when one of them has ended.',
      v_credential.name, v_credential.max_live_runs);
  end if;
end $$;
