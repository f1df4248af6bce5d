-- A time span as people say it: "3 s", "12 min", "5 h".
create or replace function say_duration(p_duration interval) returns text
  language sql immutable
  return case
    when p_duration < interval '2 minutes' then greatest(0, round(extract(epoch from p_duration))) || ' s'
    when p_duration < interval '2 hours' then round(extract(epoch from p_duration) / 60) || ' min'
    else round(extract(epoch from p_duration) / 3600) || ' h'
  end;

-- Names the one thing a task waits for: one row of a code and a sentence; no row for an unknown id. Codes: completed,
-- running; and for pending tasks stopping_run, no_engine, engine_paused, head, addressee_paused, human, slot,
-- retry, credential, global_limit, starting. Reads only; takes no locks.
create or replace function why_not_running(id uuid) returns table (reason text, explanation text)
  language plpgsql stable security definer set search_path = public, pg_temp as $$
declare
  v_task tasks;
  v_head tasks;
  v_engine engine_state;
  v_gate record;
begin
  select * into v_task from tasks t where t.id = why_not_running.id;
  if v_task.id is null then
    return;
  end if;
  if v_task.status = 'completed' then
    return query select 'completed', format('The task is completed since %s (success: %s); set status to pending to run it again.',
      to_char(v_task.completed_at, 'YYYY-MM-DD HH24:MI:SS TZ'), coalesce(v_task.result ->> 'success', 'not said'));
    return;
  elsif v_task.status = 'running' then
    return query select 'running', coalesce((
      select format('The task runs: attempt %s since %s ago%s.%s', r.attempt, say_duration(myzel_now() - r.started_at),
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
    return query select 'no_engine', case when v_engine.beat_at is null
      then 'No engine is running: start one with "myzel up" or "myzel engine".'
      else format('No engine is running (the last one on %s was seen %s ago): start one with "myzel up" or "myzel engine".',
        v_engine.host, say_duration(myzel_now() - v_engine.beat_at)) end;
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
  return query select w.* from credential_gate(v_task, v_engine) w;
  if found then
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
    else format('%s: run %s of task %s since %s ago%s%s.',
      case v_capacity when 1 then format('The only slot of "%s" is taken', p_addressee)
        else format('All %s slots of "%s" are taken', v_capacity, p_addressee) end,
      v_oldest.id, v_oldest.task_id, say_duration(myzel_now() - v_oldest.started_at),
      case when v_oldest.settled_at is not null then ', which is ending'
        when v_oldest.stop_requested_at is not null then ', which is being stopped' else '' end,
      unwatched(v_oldest.host, p_engine)) end;
end $$;

-- Whether the task's profile or its credential lets nothing start.
create or replace function credential_gate(p_task tasks, p_engine engine_state)
  returns table (reason text, explanation text)
  language plpgsql stable set search_path = public, pg_temp as $$
declare
  v_profile profiles;
  v_credential credentials;
begin
  select p.* into v_profile
  from profiles p
  where p.name = resolve_profile(
    p_task.addressee,
    (select o.profile from task_options o where o.task_id = p_task.id),
    (select a.profile from addressees a where a.addressee = p_task.addressee));
  if v_profile.name is null then
    return query select 'profile', 'No profile fits this addressee: insert one into profiles.';
    return;
  elsif v_profile.role = 'human' then
    return query select 'human', format('It is for a person (profile "%s"): complete it with update tasks set status = ''completed'', result = ''{"success": true}''.', v_profile.name);
    return;
  end if;
  select c.* into v_credential from credentials c where c.name = v_profile.credential;
  if v_credential.problem is not null then
    return query select 'credential', format('Credential "%s" cannot be used: %s', v_credential.name, v_credential.problem);
  elsif v_credential.blocked_until > myzel_now() then
    return query select 'credential', format('Credential "%s" is blocked %s: %s', v_credential.name,
      case when isfinite(v_credential.blocked_until)
        then format('until %s (in %s)', to_char(v_credential.blocked_until, 'YYYY-MM-DD HH24:MI:SS TZ'),
          say_duration(v_credential.blocked_until - myzel_now()))
        else 'until blocked_until is cleared by hand' end,
      coalesce(v_credential.blocked_reason, 'usage limit'));
  end if;
end $$;
