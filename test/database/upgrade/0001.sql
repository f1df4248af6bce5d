SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.engine_state (
    singleton boolean DEFAULT true NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    engine_id uuid,
    host text,
    pid integer,
    version text,
    launcher text,
    max_live_runs integer DEFAULT 1 NOT NULL,
    led_since timestamp with time zone,
    beat_at timestamp with time zone,
    paused boolean DEFAULT false NOT NULL,
    key_hash bytea,
    CONSTRAINT engine_state_one_row CHECK (singleton)
);
CREATE FUNCTION public.addressee_gate(p_addressee text, p_engine public.engine_state) RETURNS TABLE(reason text, explanation text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
      case when v_oldest.stop_requested_at is null then '' else ', which is being stopped' end,
      unwatched(v_oldest.host, p_engine)) end;
end $$;
CREATE FUNCTION public.audit_task_deletes() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
  insert into task_events (task_id, event, from_status) select id, 'deleted', status from old_rows;
  return null;
end $$;
CREATE FUNCTION public.audit_task_updates() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
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
CREATE FUNCTION public.beat(p_epoch bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  perform hold_epoch(p_epoch);
  perform set_config('synchronous_commit', 'off', true);
  update engine_state set beat_at = myzel_now();
end $$;
CREATE FUNCTION public.branch_problem(p_branch text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (p_branch IS NULL) THEN NULL::text WHEN (p_branch ~ '^\s*$'::text) THEN 'branch is empty: give a name, or leave it null for myzel/<task id>.'::text WHEN (length(p_branch) > 200) THEN 'branch is longer than 200 characters.'::text WHEN ((p_branch ~ '^-'::text) OR (p_branch ~ '[[:cntrl:][:space:]~^:?*\[\\]'::text) OR (p_branch ~ '\.\.|@\{|//|/\.|\.lock(/|$)'::text) OR (p_branch ~ '^[./]|[./]$'::text) OR (p_branch = ANY (ARRAY['@'::text, 'HEAD'::text])) OR (p_branch ~ '^refs/'::text)) THEN format('branch "%s" is not a name that git accepts for a branch.'::text, "left"(p_branch, 60)) ELSE NULL::text END;
CREATE FUNCTION public.claim_runs(p_epoch bigint, p_launcher text, p_host text, p_limit integer, p_run_ids uuid[], p_token_hashes bytea[]) RETURNS TABLE(to_launch jsonb, drained integer, next_look_ms integer)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
declare
  v_changed text[];
  v_places integer;
  v_heads uuid[];
  v_tasks uuid[];
  v_runs uuid[];
begin
  to_launch := '[]';
  perform hold_epoch(p_epoch);
  -- 1. Lanes that changed, and lanes whose pause after a failure is over.
  with gone as (
    delete from lane_changes where ctid = any (array(select ctid from lane_changes limit 2000)) returning addressee
  )
  select array_agg(distinct addressee), count(*) into v_changed, drained from gone;
  select v_changed || array_agg(addressee) into v_changed
  from (select addressee from lanes where wake_at <= myzel_now() limit 2000) woken;
  if v_changed is not null then
    perform refresh_lanes(array(select distinct unnest(v_changed)));
  end if;
  select ceil(extract(epoch from least(min(opens_at), myzel_now() + interval '1 day') - myzel_now()) * 1000) into next_look_ms
  from (
    select min(wake_at) as opens_at from lanes
    union all
    select min(blocked_until) from credentials where blocked_until > myzel_now()
  ) gate;
  -- 2. Free places.
  select case when s.paused then 0 else least(p_limit, s.max_live_runs - live.count) end into v_places
  from engine_state s, (select count(*) from runs where finished_at is null) live;
  if v_places <= 0 then
    return next;
    return;
  end if;
  -- 3. Heads to start, oldest first; fairly over the repositories where not all of them can.
  v_heads := oldest_ready_heads(v_places + 1);
  if cardinality(v_heads) > v_places then
    v_heads := fair_ready_heads(v_places);
  end if;
  -- 4. Lock them, each as the head its lane said it is.
  select array_agg(locked.id) into v_tasks
  from (
    select t.id
    from tasks t
    cross join lateral (
      select from lanes l
      where l.addressee = t.addressee and l.head_task_id = t.id and l.head_created_at = t.created_at
      limit 1
    ) lane
    where t.id = any (v_heads) and t.status = 'pending'
    for update of t skip locked
  ) locked;
  if v_tasks is null then
    return next;
    return;
  end if;
  -- 5. A run for each, on the lowest free slot; paused or full addressees are looked at once more.
  with chosen as (
    select
      t.id as task_id, t.addressee, t.repo_url, profile.name as profile, profile.credential,
      slot.slot,
      coalesce(last.attempt, 0) + 1 as attempt,
      case
        when last.retry_at is null then 0
        when last.failure_code = 'usage_limit' then last.retries
        else last.retries + 1
      end as retries,
      row_number() over (order by t.created_at, t.id) as place
    from tasks t
    left join addressees a on a.addressee = t.addressee
    left join task_options o on o.task_id = t.id
    join profiles profile on profile.name = resolve_profile(t.addressee, o.profile, a.profile)
    left join lateral (
      select r.attempt, r.retries, r.retry_at, r.failure_code from runs r
      where r.task_id = t.id
      order by r.attempt desc
      limit 1
    ) last on true
    cross join lateral (
      select s.slot from generate_series(1, coalesce(a.capacity, 1)) s (slot)
      where not exists (
        select 1 from runs r where r.addressee = t.addressee and r.slot = s.slot and r.finished_at is null)
      order by s.slot
      limit 1
    ) slot
    where t.id = any (v_tasks)
      and not coalesce(a.paused, false)
      and (select count(*) from runs r where r.addressee = t.addressee and r.finished_at is null)
        < coalesce(a.capacity, 1)
  ), inserted as (
    insert into runs (id, task_id, addressee, slot, attempt, retries, epoch, launcher, host, job_name, profile,
      credential, repo_url, token_hash)
    select p_run_ids[place], task_id, addressee, slot, attempt, retries, p_epoch, p_launcher, p_host,
      'task-' || task_id || '-' || attempt, profile, credential, repo_url, p_token_hashes[place]
    from chosen
    returning id, task_id
  )
  select array_agg(task_id), array_agg(id) into v_tasks, v_runs from inserted;
  -- 6. The tasks run; their lanes are looked at again by the next claim (the trigger logged them).
  update tasks set status = 'running', started_at = myzel_now() where id = any (v_tasks);
  update lanes set ready = false
  where addressee = any (array(select addressee from tasks where id = any (v_tasks)));
  if v_runs is not null then
    select jsonb_agg(to_jsonb(u) order by u.claimed_at) into to_launch from unlaunched_runs u where u.run_id = any (v_runs);
  end if;
  return next;
end $$;
CREATE FUNCTION public.myzel_now() RETURNS timestamp with time zone
    LANGUAGE sql PARALLEL SAFE
    RETURN COALESCE((NULLIF(current_setting('myzel.now'::text, true), ''::text))::timestamp with time zone, clock_timestamp());
CREATE TABLE public.tasks (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    addressee text NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    prompt text NOT NULL,
    repo_url text,
    branch text,
    created_by text DEFAULT SESSION_USER,
    created_at timestamp with time zone DEFAULT public.myzel_now() NOT NULL,
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    result jsonb,
    worker_pod text,
    parent_id uuid,
    CONSTRAINT tasks_result_is_object CHECK ((jsonb_typeof(result) = 'object'::text)),
    CONSTRAINT tasks_result_when_completed CHECK (((result IS NULL) = (status <> 'completed'::text))),
    CONSTRAINT tasks_status_known CHECK ((status = ANY (ARRAY['pending'::text, 'running'::text, 'completed'::text]))),
    CONSTRAINT tasks_times_match_status CHECK (
CASE status
    WHEN 'pending'::text THEN ((started_at IS NULL) AND (completed_at IS NULL) AND (worker_pod IS NULL))
    WHEN 'running'::text THEN ((started_at IS NOT NULL) AND (completed_at IS NULL))
    ELSE (completed_at IS NOT NULL)
END)
);
CREATE FUNCTION public.create_children(p_parent public.tasks, p_tasks jsonb) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.credential_gate(p_task public.tasks, p_engine public.engine_state) RETURNS TABLE(reason text, explanation text)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE TABLE public.runs (
    id uuid NOT NULL,
    task_id uuid NOT NULL,
    addressee text NOT NULL,
    slot integer NOT NULL,
    attempt integer NOT NULL,
    retries integer DEFAULT 0 NOT NULL,
    epoch bigint NOT NULL,
    launcher text NOT NULL,
    host text,
    job_name text NOT NULL,
    pod_name text,
    profile text NOT NULL,
    credential text NOT NULL,
    repo_url text,
    started_at timestamp with time zone DEFAULT public.myzel_now() NOT NULL,
    launched_at timestamp with time zone,
    finished_at timestamp with time zone,
    token_hash bytea NOT NULL,
    bound_to text,
    stop_requested_at timestamp with time zone,
    stop_reason text,
    announced jsonb,
    report jsonb,
    success boolean,
    failure_code text,
    error text,
    exit_code integer,
    retry_at timestamp with time zone,
    branch text,
    commit_sha text,
    cost_usd numeric(12,6),
    input_tokens bigint,
    output_tokens bigint,
    cache_read_tokens bigint,
    cache_creation_tokens bigint,
    turns integer,
    session_id text,
    model text,
    CONSTRAINT runs_outcome_when_finished CHECK (
CASE
    WHEN (finished_at IS NULL) THEN ((success IS NULL) AND (failure_code IS NULL) AND (retry_at IS NULL))
    ELSE ((success IS NOT NULL) AND (success = (failure_code IS NULL)))
END),
    CONSTRAINT runs_slot_positive CHECK ((slot >= 1))
);
CREATE FUNCTION public.demand_run(p_run_id uuid, p_token text, p_bound_to text, p_bind boolean) RETURNS public.runs
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
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
CREATE FUNCTION public.demand_task(p_id uuid) RETURNS public.tasks
    LANGUAGE plpgsql
    AS $$
declare
  v_task tasks;
begin
  select * into v_task from tasks where id = p_id for update;
  if v_task.id is null then
    raise exception using errcode = 'MZ005', message = format('There is no task %s.', p_id);
  end if;
  return v_task;
end $$;
CREATE FUNCTION public.engine_is_live() RETURNS boolean
    LANGUAGE sql STABLE
    RETURN (SELECT COALESCE((engine_state.beat_at > (public.myzel_now() - '00:00:15'::interval)), false) AS "coalesce" FROM public.engine_state);
CREATE FUNCTION public.enqueue(addressee text, prompt text, repo_url text DEFAULT NULL::text, branch text DEFAULT NULL::text, created_by text DEFAULT SESSION_USER, base_branch text DEFAULT NULL::text, profile text DEFAULT NULL::text, model text DEFAULT NULL::text, effort text DEFAULT NULL::text, idempotency_key text DEFAULT NULL::text, kind text DEFAULT NULL::text, parent_id uuid DEFAULT NULL::uuid) RETURNS public.tasks
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.fair_ready_heads(p_limit integer) RETURNS uuid[]
    LANGUAGE sql STABLE
    AS $$
  with recursive repo (credential, repo_url) as (
    select c.name, (select min(l.repo_url) from lanes l where l.credential = c.name and l.ready)
    from credentials c
    where c.problem is null and coalesce(c.blocked_until <= myzel_now(), true)
    union all
    select repo.credential,
      (select min(l.repo_url) from lanes l
        where l.credential = repo.credential and l.ready and l.repo_url > repo.repo_url)
    from repo
    where repo.repo_url is not null
  ), live as (
    select coalesce(repo_url, '') as repo_url, count(*) from runs where finished_at is null group by 1
  ), head as (
    select l.head_task_id, l.head_created_at,
      coalesce(live.count, 0) + row_number() over (
        partition by repo.repo_url order by l.head_created_at, l.head_task_id) as turn
    from repo
    left join live on live.repo_url = repo.repo_url
    cross join lateral (
      select l.head_task_id, l.head_created_at from lanes l
      where l.credential = repo.credential and l.repo_url = repo.repo_url and l.ready
      order by l.head_created_at, l.head_task_id
      limit p_limit
    ) l
    where repo.repo_url is not null
  )
  select array_agg(chosen.head_task_id)
  from (select head_task_id from head order by turn, head_created_at, head_task_id limit p_limit) chosen;
$$;
CREATE FUNCTION public.follow_task_edit() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
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
CREATE FUNCTION public.guard_task_update() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
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
CREATE FUNCTION public.hold_epoch(p_epoch bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  perform pg_advisory_xact_lock_shared(1299798577, 2);
  if not exists (select 1 from engine_state where epoch = p_epoch) then
    raise exception using errcode = 'MZ001',
      message = format('Epoch %s is over: another engine has taken over.', p_epoch);
  end if;
end $$;
CREATE FUNCTION public.load_brief(p_run_id uuid, p_token text, p_bound_to text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_run runs := demand_run(p_run_id, p_token, p_bound_to, true);
  v_brief jsonb;
begin
  update runs set bound_to = p_bound_to where id = p_run_id and bound_to is null;
  select jsonb_build_object(
    'run_id', v_run.id,
    'task_id', t.id,
    'attempt', v_run.attempt,
    'addressee', t.addressee,
    'prompt', t.prompt,
    'repo_url', t.repo_url,
    'branch', case when t.repo_url is not null then coalesce(t.branch, 'myzel/' || t.id) end,
    'base_branch', o.base_branch,
    'created_by', t.created_by,
    'parent_id', t.parent_id,
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
      'check_command', p.check_command,
      'check_tries', p.check_tries,
      'push_failing_work', p.push_failing_work,
      'may_push_default_branch', p.may_push_default_branch,
      'run_commit_hooks', p.run_commit_hooks,
      'may_create_tasks', p.may_create_tasks,
      'environment', p.environment,
      'mcp_servers', p.mcp_servers),
    -- the newest of the attempts that the engine repeated by itself: its commit may be on the remote already
    -- (a hand edit that runs a task again clears retry_at of all of them)
    'announced', (
      select earlier.announced from runs earlier
      where earlier.task_id = v_run.task_id and earlier.attempt < v_run.attempt and earlier.retry_at is not null
        and earlier.announced is not null
      order by earlier.attempt desc
      limit 1))
  into v_brief
  from tasks t
  left join task_options o on o.task_id = t.id
  join profiles p on p.name = v_run.profile
  where t.id = v_run.task_id;
  if v_brief is null then
    raise exception using errcode = 'MZ003',
      message = 'This run is over, or belongs to another pod: nothing was done.';
  end if;
  return v_brief;
end $$;
CREATE FUNCTION public.log_changed_options() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
  insert into lane_changes (addressee)
    select distinct t.addressee from changed_rows c join tasks t on t.id = c.task_id;
  perform wake_engine();
  return null;
end $$;
CREATE FUNCTION public.log_changed_profiles() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
  insert into lane_changes (addressee) select addressee from lanes;
  perform pg_notify('myzel', '');
  return null;
end $$;
CREATE FUNCTION public.log_deleted_rows() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
  insert into lane_changes (addressee) select distinct addressee from old_rows;
  perform wake_engine();
  return null;
end $$;
CREATE FUNCTION public.log_inserted_tasks() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
  insert into lane_changes (addressee) select distinct addressee from new_rows;
  perform wake_engine();
  return null;
end $$;
CREATE FUNCTION public.log_updated_runs() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
  insert into lane_changes (addressee)
    select distinct n.addressee
    from new_rows n join old_rows o using (id)
    where n.finished_at is distinct from o.finished_at or n.retry_at is distinct from o.retry_at;
  if found then
    perform wake_engine();
  end if;
  return null;
end $$;
CREATE FUNCTION public.log_updated_tasks() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
  insert into lane_changes (addressee) select addressee from old_rows union select addressee from new_rows;
  perform wake_engine();
  return null;
end $$;
CREATE FUNCTION public.mark_launched(p_epoch bigint, p_run_id uuid, p_pod_name text) RETURNS boolean
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_task_id uuid;
  v_pod_name text;
  v_stopping boolean;
begin
  perform hold_epoch(p_epoch);
  -- Nothing is lost with it: a job that is not marked is found and marked again.
  perform set_config('synchronous_commit', 'off', true);
  select task_id into v_task_id from runs where id = p_run_id;
  perform from tasks where id = v_task_id for update;
  update runs set launched_at = coalesce(launched_at, myzel_now()), pod_name = coalesce(p_pod_name, pod_name)
  where id = p_run_id and finished_at is null
  returning pod_name, stop_requested_at is not null into v_pod_name, v_stopping;
  if not found then
    return false;
  end if;
  if not v_stopping then
    update tasks set worker_pod = v_pod_name
    where id = v_task_id and status = 'running' and worker_pod is distinct from v_pod_name;
  end if;
  return true;
end $$;
CREATE FUNCTION public.notify_engine() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  perform pg_notify('myzel', '');
  return null;
end $$;
CREATE FUNCTION public.oldest_ready_heads(p_limit integer) RETURNS uuid[]
    LANGUAGE plpgsql STABLE
    AS $$
begin
  return (select array_agg(head.head_task_id order by head.head_created_at, head.head_task_id)
  from (
    select l.head_task_id, l.head_created_at
    from credentials c
    cross join lateral (
      select l.head_task_id, l.head_created_at from lanes l
      where l.credential = c.name and l.ready
      order by l.head_created_at, l.head_task_id
      limit p_limit
    ) l
    where c.problem is null and coalesce(c.blocked_until <= myzel_now(), true)
    order by l.head_created_at, l.head_task_id
    limit p_limit
  ) head);
end $$;
CREATE FUNCTION public.pause(addressee text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
  if pause.addressee is null then
    update engine_state set paused = true;
  else
    insert into addressees as a (addressee, paused) values (pause.addressee, true)
    on conflict on constraint addressees_pkey do update set paused = true;
  end if;
end $$;
CREATE FUNCTION public.raise_epoch(p_engine_id uuid, p_host text, p_pid integer, p_version text, p_launcher text, p_max_live_runs integer, p_key_hash bytea) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
  v_epoch bigint;
begin
  perform pg_advisory_xact_lock(1299798577, 2);
  if exists (select 1 from engine_state where key_hash <> p_key_hash) then
    raise exception using errcode = 'MZ004', message =
      'This engine''s run key is not the one that the engines before it used: give it the same key, or forget the old one with: update engine_state set key_hash = null.';
  end if;
  update engine_state set
    epoch = epoch + 1, engine_id = p_engine_id, host = p_host, pid = p_pid, version = p_version,
    launcher = p_launcher, max_live_runs = p_max_live_runs, key_hash = p_key_hash,
    led_since = myzel_now(), beat_at = myzel_now()
  returning epoch into v_epoch;
  return v_epoch;
end $$;
CREATE FUNCTION public.refresh_lanes(p_addressees text[]) RETURNS void
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
  with touched as materialized (
    select t.addressee, head.id, head.created_at, head.repo_url
    from unnest(p_addressees) t (addressee)
    left join lateral (
      select h.id, h.created_at, h.repo_url from tasks h
      where h.addressee = t.addressee and h.status = 'pending'
      order by h.created_at, h.id
      limit 1
    ) head on true
  ), emptied as (
    delete from lanes where addressee = any (array(select addressee from touched where id is null))
  )
  insert into lanes as l (addressee, head_task_id, head_created_at, repo_url, credential, ready, wake_at)
  select
    head.addressee,
    head.id,
    head.created_at,
    coalesce(head.repo_url, ''),
    profile.credential,
    profile.role <> 'human'
      and not coalesce(a.paused, false)
      and live.count < coalesce(a.capacity, 1)
      and not coalesce(last.live, false)
      and coalesce(last.retry_at <= myzel_now(), true),
    case when last.retry_at > myzel_now() then last.retry_at end
  from touched head
  left join addressees a on a.addressee = head.addressee
  left join task_options o on o.task_id = head.id
  join profiles profile on profile.name = resolve_profile(head.addressee, o.profile, a.profile)
  cross join lateral (
    select count(*) from runs r where r.addressee = head.addressee and r.finished_at is null
  ) live
  left join lateral (
    select r.finished_at is null as live, r.retry_at from runs r
    where r.task_id = head.id
    order by r.attempt desc
    limit 1
  ) last on true
  where head.id is not null
  on conflict (addressee) do update set
    head_task_id = excluded.head_task_id,
    head_created_at = excluded.head_created_at,
    repo_url = excluded.repo_url,
    credential = excluded.credential,
    ready = excluded.ready,
    wake_at = excluded.wake_at
  where (l.head_task_id, l.head_created_at, l.repo_url, l.credential, l.ready, l.wake_at)
    is distinct from (excluded.head_task_id, excluded.head_created_at, excluded.repo_url, excluded.credential,
      excluded.ready, excluded.wake_at);
end $$;
CREATE FUNCTION public.refuse_task_insert() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
declare
  v_problem text := task_problem(new.addressee, new.prompt, new.repo_url, new.branch);
begin
  raise exception using
    errcode = 'MZ002',
    message = coalesce(
      v_problem,
      case when new.status is distinct from 'pending'
        then format('A new task is pending, not "%s": leave status out; only the engine starts runs.', new.status)
        else 'A new task has no started_at, completed_at, result or worker_pod: leave them out.' end);
end $$;
CREATE FUNCTION public.refuse_truncate() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  raise exception using errcode = 'MZ002',
    message = format('TRUNCATE would leave live runs without their tasks: use DELETE FROM %I.', tg_table_name);
end $$;
CREATE FUNCTION public.repo_url_problem(p_repo_url text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (p_repo_url IS NULL) THEN NULL::text WHEN (p_repo_url ~ '^\s*$'::text) THEN 'repo_url is empty: give a URL, or leave it null for an empty work directory.'::text WHEN (p_repo_url ~ '^-'::text) THEN 'repo_url begins with "-": that would be an option to git, not a repository.'::text WHEN (p_repo_url ~ '[[:cntrl:][:space:]]'::text) THEN 'repo_url contains white space or control characters.'::text WHEN (length(p_repo_url) > 2000) THEN 'repo_url is longer than 2000 characters.'::text WHEN (p_repo_url ~ '^[A-Za-z0-9+.-]+::'::text) THEN 'repo_url names a remote helper ("x::"): use https, ssh, git or file.'::text WHEN (p_repo_url ~* '^https?://[^/]*@'::text) THEN 'repo_url carries a user name or token: leave it out, the engine asks git''s credential helpers.'::text WHEN (p_repo_url ~* '^ssh://[^/@]*:[^/]*@'::text) THEN 'repo_url carries a password: leave it out.'::text WHEN (p_repo_url ~* '^(https?|ssh|git)://[^/]+/.'::text) THEN NULL::text WHEN (p_repo_url ~* '^file:///.'::text) THEN NULL::text WHEN (p_repo_url ~* '^[a-z][a-z0-9+.-]*://'::text) THEN 'repo_url has a scheme that is not supported: use https, ssh, git or file.'::text WHEN (p_repo_url ~ '^/.'::text) THEN NULL::text WHEN (p_repo_url ~ '^[^/:]+:.'::text) THEN NULL::text ELSE 'repo_url is neither a URL (https://host/path), host:path nor an absolute path.'::text END;
CREATE FUNCTION public.reschedule(id uuid, note text DEFAULT NULL::text) RETURNS public.tasks
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE TABLE public.profiles (
    name text NOT NULL,
    role text NOT NULL,
    addressee_pattern text,
    model text,
    effort text,
    system_prompt text,
    image text,
    time_limit interval DEFAULT '02:00:00'::interval NOT NULL,
    first_output_limit interval DEFAULT '00:05:00'::interval NOT NULL,
    silence_limit interval DEFAULT '00:30:00'::interval NOT NULL,
    max_turns integer,
    max_cost_usd numeric(12,6),
    cpu text,
    memory text,
    credential text DEFAULT 'default'::text NOT NULL,
    check_command text,
    check_tries integer DEFAULT 1 NOT NULL,
    push_failing_work boolean DEFAULT false NOT NULL,
    may_push_default_branch boolean DEFAULT false NOT NULL,
    run_commit_hooks boolean DEFAULT false NOT NULL,
    may_create_tasks boolean DEFAULT false NOT NULL,
    environment jsonb DEFAULT '{}'::jsonb NOT NULL,
    mcp_servers jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT profiles_effort_known CHECK ((effort = ANY (ARRAY['low'::text, 'medium'::text, 'high'::text, 'xhigh'::text, 'max'::text]))),
    CONSTRAINT profiles_environment_is_object CHECK ((jsonb_typeof(environment) = 'object'::text)),
    CONSTRAINT profiles_limits_positive CHECK (((time_limit >= '00:00:01'::interval) AND (first_output_limit >= '00:00:01'::interval) AND (silence_limit >= '00:00:01'::interval) AND (max_turns >= 1) AND (max_cost_usd > (0)::numeric) AND (check_tries >= 0))),
    CONSTRAINT profiles_mcp_servers_is_object CHECK ((jsonb_typeof(mcp_servers) = 'object'::text)),
    CONSTRAINT profiles_role_known CHECK ((role = ANY (ARRAY['green'::text, 'red'::text, 'human'::text])))
);
CREATE FUNCTION public.resolve_profile(p_addressee text, p_task_profile text, p_addressee_profile text) RETURNS text
    LANGUAGE sql STABLE
    RETURN COALESCE(p_task_profile, p_addressee_profile, (SELECT p.name FROM public.profiles p WHERE (resolve_profile.p_addressee ~~ p.addressee_pattern) ORDER BY (length(p.addressee_pattern)) DESC, p.name LIMIT 1), 'red'::text);
CREATE FUNCTION public.result_of(p_attempt integer, p_outcome jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN (((jsonb_build_object('success', (p_outcome -> 'success'::text), 'attempt', p_attempt, 'cost_usd', COALESCE((p_outcome -> 'cost_usd'::text), '0'::jsonb), 'turns', COALESCE((p_outcome -> 'turns'::text), '0'::jsonb), 'files_changed', COALESCE((p_outcome -> 'files_changed'::text), '[]'::jsonb)) || CASE WHEN ((p_outcome ->> 'success'::text))::boolean THEN jsonb_build_object('summary', (p_outcome -> 'summary'::text), 'branch', (p_outcome -> 'branch'::text), 'commit_sha', (p_outcome -> 'commit_sha'::text), 'pull_request_url', (p_outcome -> 'pull_request_url'::text)) ELSE jsonb_build_object('code', (p_outcome -> 'failure_code'::text), 'error', (p_outcome -> 'error'::text), 'logs', (p_outcome -> 'logs'::text)) END) || CASE WHEN ((p_outcome ? 'checks'::text) AND (jsonb_typeof((p_outcome -> 'checks'::text)) = 'object'::text)) THEN jsonb_build_object('checks', (p_outcome -> 'checks'::text)) ELSE '{}'::jsonb END) || CASE WHEN ((NOT ((p_outcome ->> 'success'::text))::boolean) AND ((p_outcome ->> 'commit_sha'::text) IS NOT NULL)) THEN jsonb_build_object('branch', (p_outcome -> 'branch'::text), 'commit_sha', (p_outcome -> 'commit_sha'::text)) ELSE '{}'::jsonb END);
CREATE FUNCTION public.resume(addressee text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
  if resume.addressee is null then
    update engine_state set paused = false;
  else
    update addressees a set paused = false where a.addressee = resume.addressee;
  end if;
end $$;
CREATE FUNCTION public.say_duration(p_duration interval) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN (p_duration < '00:02:00'::interval) THEN (GREATEST((0)::numeric, round(EXTRACT(epoch FROM p_duration))) || ' s'::text) WHEN (p_duration < '02:00:00'::interval) THEN (round((EXTRACT(epoch FROM p_duration) / (60)::numeric)) || ' min'::text) ELSE (round((EXTRACT(epoch FROM p_duration) / (3600)::numeric)) || ' h'::text) END;
CREATE FUNCTION public.settle_run(p_epoch bigint, p_run_id uuid, p_settlement jsonb) RETURNS text
    LANGUAGE sql
    AS $$
  select answer from settle_runs(
    p_epoch, jsonb_build_array(p_settlement || jsonb_build_object('run_id', p_run_id)));
$$;
CREATE FUNCTION public.settle_runs(p_epoch bigint, p_settlements jsonb) RETURNS TABLE(run_id uuid, answer text)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
declare
  -- each run once, whatever was given
  v_settlements jsonb := (
    select jsonb_agg(one.value) from (
      select distinct on (s.value ->> 'run_id') s.value from jsonb_array_elements(p_settlements) s) one);
  v_ids uuid[] := array(select (s ->> 'run_id')::uuid from jsonb_array_elements(v_settlements) s);
  v_live uuid[];
  v_own uuid[];
  v_settled record;
begin
  perform hold_epoch(p_epoch);
  -- 1. Lock tasks, then their runs; only live runs are settled.
  perform from tasks t
  where t.id = any (array(select r.task_id from runs r where r.id = any (v_ids)))
  order by t.id
  for update;
  v_live := array(
    select r.id from runs r where r.id = any (v_ids) and r.finished_at is null order by r.id for update);
  v_own := array(
    select r.id from runs r
    cross join lateral (select from tasks t where t.id = r.task_id and t.status = 'running' limit 1) own
    where r.id = any (v_live) and r.stop_requested_at is null);
  -- 2. The runs.
  update runs r set
    finished_at = myzel_now(),
    success = (s.value ->> 'success')::boolean,
    failure_code = s.value ->> 'failure_code',
    error = s.value ->> 'error',
    exit_code = (s.value ->> 'exit_code')::integer,
    retry_at = case when r.id = any (v_own) and s.value ->> 'action' = 'requeue'
      then myzel_now() + make_interval(secs => (s.value ->> 'retry_after_seconds')::double precision) end,
    branch = s.value ->> 'branch',
    commit_sha = s.value ->> 'commit_sha',
    cost_usd = (s.value ->> 'cost_usd')::numeric,
    input_tokens = (s.value ->> 'input_tokens')::bigint,
    output_tokens = (s.value ->> 'output_tokens')::bigint,
    cache_read_tokens = (s.value ->> 'cache_read_tokens')::bigint,
    cache_creation_tokens = (s.value ->> 'cache_creation_tokens')::bigint,
    turns = (s.value ->> 'turns')::integer,
    session_id = s.value ->> 'session_id',
    model = s.value ->> 'model'
  from jsonb_array_elements(v_settlements) s
  where r.id = (s.value ->> 'run_id')::uuid and r.id = any (v_live);
  -- 3. Their tasks.
  update tasks t set
    status = case s.value ->> 'action' when 'requeue' then 'pending' else 'completed' end,
    result = case s.value ->> 'action' when 'requeue' then null else result_of(r.attempt, s.value) end
  from jsonb_array_elements(v_settlements) s
  join runs r on r.id = (s.value ->> 'run_id')::uuid
  where r.id = any (v_own) and t.id = r.task_id;
  -- 4. What few of them have: tasks to create, a usage limit.
  for v_settled in
    select s.value as settlement, r.id, r.task_id, r.credential
    from jsonb_array_elements(v_settlements) s
    join runs r on r.id = (s.value ->> 'run_id')::uuid
    where r.id = any (v_live)
      and (s.value ->> 'blocked_until' is not null or coalesce(s.value -> 'tasks', '[]') not in ('[]', 'null'))
    order by r.task_id
  loop
    if v_settled.id = any (v_own) and (v_settled.settlement ->> 'success')::boolean then
      perform create_children(t, v_settled.settlement -> 'tasks') from tasks t where t.id = v_settled.task_id;
    end if;
    -- Only ever later: a run that started before the limit was known must not reopen the credential.
    update credentials set
      blocked_until = (v_settled.settlement ->> 'blocked_until')::timestamptz,
      blocked_reason = v_settled.settlement ->> 'blocked_reason'
    where name = v_settled.credential
      and coalesce(blocked_until < (v_settled.settlement ->> 'blocked_until')::timestamptz,
        v_settled.settlement ->> 'blocked_until' is not null);
  end loop;
  return query
  select id, case
    when id = any (v_live) then 'settled'
    when exists (select from runs r where r.id = ids.id) then 'already'
    else 'unknown' end
  from unnest(v_ids) ids (id);
end $$;
CREATE FUNCTION public.step_down(p_epoch bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  perform hold_epoch(p_epoch);
  update engine_state set beat_at = null, engine_id = null;
end $$;
CREATE FUNCTION public.stop(id uuid, reason text DEFAULT NULL::text) RETURNS public.tasks
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.store_transcript(p_run_id uuid, p_token text, p_bound_to text, p_content bytea, p_raw_bytes bigint, p_truncated boolean) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE FUNCTION public.sweep_lanes() RETURNS bigint
    LANGUAGE sql
    AS $$
  with logged as (
    insert into lane_changes (addressee)
    select addressee from lanes
    union
    select distinct addressee from tasks where status = 'pending'
    returning 1)
  select count(*) from logged;
$$;
CREATE FUNCTION public.task_problem(p_addressee text, p_prompt text, p_repo_url text, p_branch text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN ((p_addressee IS NULL) OR (p_addressee !~ '\S'::text)) THEN 'addressee is empty: name who shall do the task.'::text WHEN (length(p_addressee) > 200) THEN 'addressee is longer than 200 characters.'::text WHEN (p_addressee ~ '[[:cntrl:]]'::text) THEN 'addressee contains control characters.'::text WHEN ((p_prompt IS NULL) OR (p_prompt !~ '\S'::text)) THEN 'prompt is empty: say what is to be done.'::text WHEN (octet_length(p_prompt) > 1048576) THEN format('prompt is %s bytes long, the limit is 1 MiB: put long material into a file of the repository and name it.'::text, octet_length(p_prompt)) ELSE COALESCE(public.repo_url_problem(p_repo_url), public.branch_problem(p_branch)) END;
CREATE FUNCTION public.terminate_silent_engine(p_silent interval) RETURNS integer
    LANGUAGE sql
    AS $$
  select count(*) filter (where pg_terminate_backend(a.pid))::integer
  from engine_state s
  join pg_stat_activity a on a.datname = current_database()
    and a.application_name = 'myzel-engine ' || s.engine_id
    and a.pid <> pg_backend_pid()
  where s.beat_at < myzel_now() - p_silent;
$$;
CREATE FUNCTION public.unwatched(p_host text, p_engine public.engine_state) RETURNS text
    LANGUAGE sql STABLE
    RETURN CASE WHEN ((p_host IS NULL) OR ((p_host = (p_engine).host) AND public.engine_is_live())) THEN ''::text ELSE format(' on host %s, which no engine watches now: only one on that host can call it gone'::text, p_host) END;
CREATE FUNCTION public.wake_engine() RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  if not pg_try_advisory_xact_lock_shared(1299798577, 3) then
    perform pg_notify('myzel', '');
  end if;
end $$;
CREATE FUNCTION public.why_not_running(id uuid) RETURNS TABLE(reason text, explanation text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
      select format('The task runs: attempt %s since %s ago%s.', r.attempt, say_duration(myzel_now() - r.started_at),
        case when r.pod_name is null then ', its job is being started' else ' on ' || r.pod_name end)
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
    return query select 'stopping_run', format('Its stopped run %s (attempt %s) is still ending%s.', v_gate.run_id,
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
CREATE FUNCTION public.write_report(p_run_id uuid, p_token text, p_bound_to text, p_report jsonb, p_final boolean) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
CREATE TABLE public.addressees (
    addressee text NOT NULL,
    capacity integer DEFAULT 1 NOT NULL,
    paused boolean DEFAULT false NOT NULL,
    profile text,
    CONSTRAINT addressees_capacity_in_range CHECK (((capacity >= 0) AND (capacity <= 10000)))
);
CREATE TABLE public.credentials (
    name text NOT NULL,
    env_var text,
    file_path text,
    secret_name text,
    secret_key text,
    blocked_until timestamp with time zone,
    blocked_reason text,
    problem text,
    CONSTRAINT credentials_env_var_is_a_name CHECK ((env_var ~ '^[A-Za-z_][A-Za-z0-9_]{0,99}$'::text)),
    CONSTRAINT credentials_file_path_is_absolute CHECK ((file_path ~ '^/'::text)),
    CONSTRAINT credentials_one_source CHECK ((num_nonnulls(env_var, file_path, secret_name) <= 1)),
    CONSTRAINT credentials_secret_has_key CHECK (((secret_name IS NULL) = (secret_key IS NULL))),
    CONSTRAINT credentials_secret_is_a_name CHECK (((secret_name ~ '^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$'::text) AND (secret_key ~ '^[-._A-Za-z0-9]{1,253}$'::text)))
);
CREATE VIEW public.failures AS
 SELECT t.id,
    t.addressee,
    (t.result ->> 'code'::text) AS code,
    (t.result ->> 'error'::text) AS error,
    "left"(split_part(t.prompt, '
'::text, 1), 80) AS prompt,
    t.repo_url,
    t.branch,
    t.completed_at
   FROM public.tasks t
  WHERE ((t.status = 'completed'::text) AND ((t.result ->> 'success'::text) IS DISTINCT FROM 'true'::text))
  ORDER BY t.completed_at DESC;
CREATE TABLE public.kysely_migration (
    name character varying(255) NOT NULL,
    "timestamp" character varying(255) NOT NULL
);
CREATE TABLE public.kysely_migration_lock (
    id character varying(255) NOT NULL,
    is_locked integer DEFAULT 0 NOT NULL
);
CREATE TABLE public.lane_changes (
    addressee text NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_insert_threshold='-1');
CREATE TABLE public.lanes (
    addressee text NOT NULL,
    head_task_id uuid NOT NULL,
    head_created_at timestamp with time zone NOT NULL,
    repo_url text NOT NULL,
    credential text NOT NULL,
    ready boolean NOT NULL,
    wake_at timestamp with time zone
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='1000');
CREATE VIEW public.queue AS
 SELECT t.id,
    t.addressee,
    row_number() OVER (PARTITION BY t.addressee ORDER BY t.created_at, t.id) AS place,
    "left"(split_part(t.prompt, '
'::text, 1), 80) AS prompt,
    t.repo_url,
    t.branch,
    t.created_by,
    t.created_at
   FROM public.tasks t
  WHERE (t.status = 'pending'::text)
  ORDER BY t.created_at, t.id;
CREATE TABLE public.run_transcripts (
    run_id uuid NOT NULL,
    content bytea NOT NULL,
    raw_bytes bigint NOT NULL,
    truncated boolean NOT NULL,
    stored_at timestamp with time zone DEFAULT public.myzel_now() NOT NULL
);
ALTER TABLE ONLY public.run_transcripts ALTER COLUMN content SET STORAGE EXTERNAL;
CREATE VIEW public.running AS
 SELECT t.id,
    r.addressee,
    r.slot,
    r.attempt,
    r.id AS run_id,
    "left"(split_part(t.prompt, '
'::text, 1), 80) AS prompt,
    t.repo_url,
    t.branch,
    r.pod_name,
    r.started_at,
    r.launched_at,
    (r.stop_requested_at IS NOT NULL) AS stopping
   FROM (public.runs r
     LEFT JOIN public.tasks t ON ((t.id = r.task_id)))
  WHERE (r.finished_at IS NULL)
  ORDER BY r.started_at;
CREATE TABLE public.schema_functions (
    only_row boolean DEFAULT true NOT NULL,
    hash text NOT NULL,
    program_version text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT schema_functions_only_row CHECK (only_row)
);
CREATE VIEW public.spend AS
 SELECT date_trunc('day'::text, r.finished_at) AS day,
    r.credential,
    r.model,
    count(*) AS runs,
    sum(r.cost_usd) AS cost_usd,
    sum(r.input_tokens) AS input_tokens,
    sum(r.output_tokens) AS output_tokens,
    sum(r.cache_read_tokens) AS cache_read_tokens,
    sum(r.cache_creation_tokens) AS cache_creation_tokens,
    sum(r.turns) AS turns
   FROM public.runs r
  WHERE (r.finished_at IS NOT NULL)
  GROUP BY (date_trunc('day'::text, r.finished_at)), r.credential, r.model
  ORDER BY (date_trunc('day'::text, r.finished_at)) DESC, r.credential, r.model;
CREATE TABLE public.task_events (
    id bigint NOT NULL,
    task_id uuid NOT NULL,
    run_id uuid,
    at timestamp with time zone DEFAULT public.myzel_now() NOT NULL,
    actor text DEFAULT SESSION_USER NOT NULL,
    application text DEFAULT current_setting('application_name'::text) NOT NULL,
    event text NOT NULL,
    from_status text,
    to_status text,
    detail jsonb
);
ALTER TABLE public.task_events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.task_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.task_options (
    task_id uuid NOT NULL,
    profile text,
    model text,
    effort text,
    base_branch text,
    idempotency_key text,
    kind text,
    CONSTRAINT task_options_effort_known CHECK ((effort = ANY (ARRAY['low'::text, 'medium'::text, 'high'::text, 'xhigh'::text, 'max'::text]))),
    CONSTRAINT task_options_key_not_blank CHECK (((idempotency_key ~ '\S'::text) AND (length(idempotency_key) <= 200)))
);
CREATE VIEW public.unlaunched_runs AS
 SELECT r.id AS run_id,
    r.task_id,
    r.attempt,
    r.retries,
    r.addressee,
    r.job_name,
    r.repo_url,
    r.host,
    r.started_at AS claimed_at,
    (ceil(EXTRACT(epoch FROM COALESCE(p.time_limit, '02:00:00'::interval))))::integer AS time_limit_seconds,
    p.image,
    p.cpu,
    p.memory,
    r.credential,
    c.env_var,
    c.file_path,
    c.secret_name,
    c.secret_key
   FROM ((public.runs r
     LEFT JOIN public.profiles p ON ((p.name = r.profile)))
     LEFT JOIN public.credentials c ON ((c.name = r.credential)))
  WHERE ((r.finished_at IS NULL) AND (r.launched_at IS NULL) AND (r.stop_requested_at IS NULL));
INSERT INTO public.addressees VALUES ('busy', 1, false, NULL);
INSERT INTO public.addressees VALUES ('closed', 0, false, NULL);
INSERT INTO public.credentials VALUES ('default', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.engine_state VALUES (true, 1, '070c0140-722b-4597-9481-266fd02c684e', 'old-host', 1, '0', 'process', 100, '2026-11-21 16:26:57.068243+00', '2026-11-21 16:26:57.068243+00', false, '\x00');
INSERT INTO public.kysely_migration VALUES ('0001_core', '2026-11-21T16:26:56.929Z');
INSERT INTO public.kysely_migration_lock VALUES ('migration_lock', 0);
INSERT INTO public.lane_changes VALUES ('done');
INSERT INTO public.lane_changes VALUES ('done');
INSERT INTO public.lane_changes VALUES ('failed');
INSERT INTO public.lane_changes VALUES ('failed');
INSERT INTO public.lane_changes VALUES ('retried');
INSERT INTO public.lane_changes VALUES ('retried');
INSERT INTO public.lane_changes VALUES ('stopped');
INSERT INTO public.lanes VALUES ('closed', '6bd447c2-8d7f-40c4-a803-76d12229f363', '2026-11-21 16:26:57.077819+00', 'https://host/old.git', 'default', false, NULL);
INSERT INTO public.lanes VALUES ('busy', '916e8e5d-4fa8-4ce9-ba7b-a82c83c948e6', '2026-11-21 16:26:57.077126+00', 'https://host/old.git', 'default', false, NULL);
INSERT INTO public.profiles VALUES ('red', 'red', '%', NULL, NULL, NULL, NULL, '02:00:00', '00:05:00', '00:30:00', NULL, NULL, NULL, NULL, 'default', NULL, 1, false, false, false, false, '{}', '{}');
INSERT INTO public.profiles VALUES ('green', 'green', 'project-mgr-%', NULL, NULL, NULL, NULL, '02:00:00', '00:05:00', '00:30:00', NULL, NULL, NULL, NULL, 'default', NULL, 1, false, false, false, true, '{}', '{}');
INSERT INTO public.profiles VALUES ('human', 'human', 'blue', NULL, NULL, NULL, NULL, '02:00:00', '00:05:00', '00:30:00', NULL, NULL, NULL, NULL, 'default', NULL, 1, false, false, false, false, '{}', '{}');
INSERT INTO public.runs VALUES ('476b29e4-c8ab-49ba-ae48-ac4b5c7c3a52', 'bab845e8-6bb7-462d-bfcc-560f0bc430d7', 'busy', 1, 1, 0, 1, 'process', 'old-host', 'task-bab845e8-6bb7-462d-bfcc-560f0bc430d7-1', NULL, 'red', 'default', 'https://host/old.git', '2026-11-21 16:26:57.106539+00', NULL, NULL, '\xb538a69740badf89bd7097017e0e36fe6b1db6aad832f38e1e2f231884fbd351', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.runs VALUES ('a38e01b8-6a20-46c4-ad37-f19eb4ede9b9', '7b282e84-4adc-49d4-95c7-02dcceaf4ac1', 'project-mgr-old', 1, 1, 0, 1, 'process', 'old-host', 'task-7b282e84-4adc-49d4-95c7-02dcceaf4ac1-1', NULL, 'green', 'default', 'https://host/old.git', '2026-11-21 16:26:57.106549+00', NULL, NULL, '\x8802a1efc81c625e15b0bbae40cc42b61cf82ae58069bd3ef31fc1dfd6dc6645', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.runs VALUES ('c0314c44-ab06-4b9c-b365-b2fdc0876f34', '28c693f6-f9ed-48f7-99cf-22f205ca3dd0', 'optioned', 1, 1, 0, 1, 'process', 'old-host', 'task-28c693f6-f9ed-48f7-99cf-22f205ca3dd0-1', NULL, 'red', 'default', NULL, '2026-11-21 16:26:57.106556+00', NULL, NULL, '\x93f8f346aa116c8756b3ae733f7163003f21af5de010c7bbebcd9675df999a45', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.runs VALUES ('c7f5b718-96d9-4aaa-bdc0-ce129a8b3f62', '2368d16e-2d93-498c-be32-0cf297f7a8d4', 'done', 1, 1, 0, 1, 'process', 'old-host', 'task-2368d16e-2d93-498c-be32-0cf297f7a8d4-1', NULL, 'red', 'default', 'https://host/old.git', '2026-11-21 16:26:57.106152+00', NULL, '2026-11-21 16:26:57.121021+00', '\xed7677372439c52092f0255ede0c5941d20e5256c9d27a556d9cb37b974ed430', NULL, NULL, NULL, NULL, NULL, true, NULL, NULL, NULL, NULL, NULL, NULL, 1.500000, NULL, NULL, NULL, NULL, 2, NULL, NULL);
INSERT INTO public.runs VALUES ('6df338ee-2cad-4108-b9be-4cd94070ff59', 'a672fdb5-6a94-44cc-a7ed-669bc0ac23c1', 'failed', 1, 1, 0, 1, 'process', 'old-host', 'task-a672fdb5-6a94-44cc-a7ed-669bc0ac23c1-1', NULL, 'red', 'default', 'https://host/old.git', '2026-11-21 16:26:57.106508+00', NULL, '2026-11-21 16:26:57.128016+00', '\x2282d3df034214b26b74af481a1a32a4b7db4a4e660f98ff5671d2c10b11a789', NULL, NULL, NULL, NULL, NULL, false, 'agent_error', 'broke', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.runs VALUES ('c336f37b-951d-4c3e-97df-c667507b61df', '6370f772-5988-401b-aa7d-8a28c059541a', 'retried', 1, 1, 0, 1, 'process', 'old-host', 'task-6370f772-5988-401b-aa7d-8a28c059541a-1', NULL, 'red', 'default', 'https://host/old.git', '2026-11-21 16:26:57.106533+00', NULL, '2026-11-21 16:26:57.129839+00', '\x7826118d72410bfc3b0cfe726c49782f8278dd7d60f649c7dd43b67abd0fa204', NULL, NULL, NULL, NULL, NULL, false, 'node_lost', 'gone', NULL, '2026-11-21 16:26:57.12984+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.runs VALUES ('6dd33803-eb82-4aa0-a422-cd22aebd686c', '90e7ebc7-179f-4791-80ac-563068024104', 'stopped', 1, 1, 0, 1, 'process', 'old-host', 'task-90e7ebc7-179f-4791-80ac-563068024104-1', NULL, 'red', 'default', 'https://host/old.git', '2026-11-21 16:26:57.106525+00', NULL, NULL, '\x53d5db5cfb27a6f0ffd1f0f56c167edb442ab6ecf7dd5c32c6902b11858619a4', NULL, '2026-11-21 16:26:57.131856+00', 'Stopped by hand.', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.schema_functions VALUES (true, '3bd311768b49b3ca0057b1b1d667de52bd2b65510926056dce98af4a5582ac26', '0.1.0', '2026-11-21 16:26:56.879004+00');
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (1, '2368d16e-2d93-498c-be32-0cf297f7a8d4', 'c7f5b718-96d9-4aaa-bdc0-ce129a8b3f62', '2026-11-21 16:26:57.108522+00', 'postgres', 'x', 'started', 'pending', 'running', NULL);
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (2, 'a672fdb5-6a94-44cc-a7ed-669bc0ac23c1', '6df338ee-2cad-4108-b9be-4cd94070ff59', '2026-11-21 16:26:57.108765+00', 'postgres', 'x', 'started', 'pending', 'running', NULL);
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (3, '90e7ebc7-179f-4791-80ac-563068024104', '6dd33803-eb82-4aa0-a422-cd22aebd686c', '2026-11-21 16:26:57.108778+00', 'postgres', 'x', 'started', 'pending', 'running', NULL);
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (4, '6370f772-5988-401b-aa7d-8a28c059541a', 'c336f37b-951d-4c3e-97df-c667507b61df', '2026-11-21 16:26:57.108786+00', 'postgres', 'x', 'started', 'pending', 'running', NULL);
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (5, 'bab845e8-6bb7-462d-bfcc-560f0bc430d7', '476b29e4-c8ab-49ba-ae48-ac4b5c7c3a52', '2026-11-21 16:26:57.108794+00', 'postgres', 'x', 'started', 'pending', 'running', NULL);
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (6, '7b282e84-4adc-49d4-95c7-02dcceaf4ac1', 'a38e01b8-6a20-46c4-ad37-f19eb4ede9b9', '2026-11-21 16:26:57.108802+00', 'postgres', 'x', 'started', 'pending', 'running', NULL);
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (7, '28c693f6-f9ed-48f7-99cf-22f205ca3dd0', 'c0314c44-ab06-4b9c-b365-b2fdc0876f34', '2026-11-21 16:26:57.108811+00', 'postgres', 'x', 'started', 'pending', 'running', NULL);
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (8, '2368d16e-2d93-498c-be32-0cf297f7a8d4', 'c7f5b718-96d9-4aaa-bdc0-ce129a8b3f62', '2026-11-21 16:26:57.125097+00', 'postgres', '', 'completed', 'running', 'completed', '{"success": true}');
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (9, 'a672fdb5-6a94-44cc-a7ed-669bc0ac23c1', '6df338ee-2cad-4108-b9be-4cd94070ff59', '2026-11-21 16:26:57.12853+00', 'postgres', '', 'completed', 'running', 'completed', '{"code": "agent_error", "success": false}');
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (10, '6370f772-5988-401b-aa7d-8a28c059541a', 'c336f37b-951d-4c3e-97df-c667507b61df', '2026-11-21 16:26:57.130418+00', 'postgres', '', 'requeued', 'running', 'pending', NULL);
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (11, '90e7ebc7-179f-4791-80ac-563068024104', '6dd33803-eb82-4aa0-a422-cd22aebd686c', '2026-11-21 16:26:57.132004+00', 'postgres', '', 'stopped', 'running', 'completed', '{"code": "stopped", "success": false}');
INSERT INTO public.task_options VALUES ('28c693f6-f9ed-48f7-99cf-22f205ca3dd0', NULL, 'opus', NULL, NULL, 'old-key', NULL);
INSERT INTO public.tasks VALUES ('916e8e5d-4fa8-4ce9-ba7b-a82c83c948e6', 'busy', 'pending', 'behind it', 'https://host/old.git', NULL, 'postgres', '2026-11-21 16:26:57.077126+00', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.tasks VALUES ('6bd447c2-8d7f-40c4-a803-76d12229f363', 'closed', 'pending', 'waits', 'https://host/old.git', NULL, 'postgres', '2026-11-21 16:26:57.077819+00', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.tasks VALUES ('bab845e8-6bb7-462d-bfcc-560f0bc430d7', 'busy', 'running', 'running', 'https://host/old.git', NULL, 'postgres', '2026-11-21 16:26:57.076452+00', '2026-11-21 16:26:57.107591+00', NULL, NULL, NULL, NULL);
INSERT INTO public.tasks VALUES ('7b282e84-4adc-49d4-95c7-02dcceaf4ac1', 'project-mgr-old', 'running', 'plan', 'https://host/old.git', NULL, 'postgres', '2026-11-21 16:26:57.079175+00', '2026-11-21 16:26:57.107604+00', NULL, NULL, NULL, NULL);
INSERT INTO public.tasks VALUES ('28c693f6-f9ed-48f7-99cf-22f205ca3dd0', 'optioned', 'running', 'with options', NULL, NULL, 'postgres', '2026-11-21 16:26:57.081474+00', '2026-11-21 16:26:57.107618+00', NULL, NULL, NULL, NULL);
INSERT INTO public.tasks VALUES ('2368d16e-2d93-498c-be32-0cf297f7a8d4', 'done', 'completed', 'done', 'https://host/old.git', NULL, 'postgres', '2026-11-21 16:26:57.071854+00', '2026-11-21 16:26:57.106833+00', '2026-11-21 16:26:57.123091+00', '{"turns": 2, "branch": null, "attempt": 1, "success": true, "summary": "was done", "cost_usd": 1.5, "commit_sha": null, "files_changed": [], "pull_request_url": null}', NULL, NULL);
INSERT INTO public.tasks VALUES ('a672fdb5-6a94-44cc-a7ed-669bc0ac23c1', 'failed', 'completed', 'failed', 'https://host/old.git', NULL, 'postgres', '2026-11-21 16:26:57.073737+00', '2026-11-21 16:26:57.107505+00', '2026-11-21 16:26:57.12833+00', '{"code": "agent_error", "logs": null, "error": "broke", "turns": 0, "attempt": 1, "success": false, "cost_usd": 0, "files_changed": []}', NULL, NULL);
INSERT INTO public.tasks VALUES ('6370f772-5988-401b-aa7d-8a28c059541a', 'retried', 'pending', 'retried', 'https://host/old.git', NULL, 'postgres', '2026-11-21 16:26:57.075706+00', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.tasks VALUES ('90e7ebc7-179f-4791-80ac-563068024104', 'stopped', 'completed', 'stopped', 'https://host/old.git', NULL, 'postgres', '2026-11-21 16:26:57.074838+00', '2026-11-21 16:26:57.107555+00', '2026-11-21 16:26:57.131676+00', '{"code": "stopped", "error": "Stopped by hand.", "success": false}', NULL, NULL);
SELECT pg_catalog.setval('public.task_events_id_seq', 11, true);
ALTER TABLE ONLY public.addressees
    ADD CONSTRAINT addressees_pkey PRIMARY KEY (addressee);
ALTER TABLE ONLY public.credentials
    ADD CONSTRAINT credentials_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.engine_state
    ADD CONSTRAINT engine_state_pkey PRIMARY KEY (singleton);
ALTER TABLE ONLY public.kysely_migration_lock
    ADD CONSTRAINT kysely_migration_lock_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.kysely_migration
    ADD CONSTRAINT kysely_migration_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.lanes
    ADD CONSTRAINT lanes_pkey PRIMARY KEY (addressee);
ALTER TABLE ONLY public.profiles
    ADD CONSTRAINT profiles_addressee_pattern_key UNIQUE (addressee_pattern);
ALTER TABLE ONLY public.profiles
    ADD CONSTRAINT profiles_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.run_transcripts
    ADD CONSTRAINT run_transcripts_pkey PRIMARY KEY (run_id);
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_attempt_unique UNIQUE (task_id, attempt);
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.schema_functions
    ADD CONSTRAINT schema_functions_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY public.task_events
    ADD CONSTRAINT task_events_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.task_options
    ADD CONSTRAINT task_options_idempotency_key_key UNIQUE (idempotency_key);
ALTER TABLE ONLY public.task_options
    ADD CONSTRAINT task_options_pkey PRIMARY KEY (task_id);
ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT tasks_pkey PRIMARY KEY (id);
CREATE INDEX lanes_ready ON public.lanes USING btree (credential, head_created_at, head_task_id) WHERE ready;
CREATE INDEX lanes_ready_by_repo ON public.lanes USING btree (credential, repo_url, head_created_at, head_task_id) WHERE ready;
CREATE INDEX lanes_wake ON public.lanes USING btree (wake_at) WHERE (wake_at IS NOT NULL);
CREATE INDEX runs_finished ON public.runs USING btree (finished_at) WHERE (finished_at IS NOT NULL);
CREATE UNIQUE INDEX runs_live_slot ON public.runs USING btree (addressee, slot) WHERE (finished_at IS NULL);
CREATE UNIQUE INDEX runs_live_task ON public.runs USING btree (task_id) WHERE (success IS NULL);
CREATE INDEX runs_unlaunched ON public.runs USING btree (started_at) WHERE ((finished_at IS NULL) AND (launched_at IS NULL));
CREATE INDEX task_events_task ON public.task_events USING btree (task_id, id);
CREATE INDEX tasks_completed ON public.tasks USING btree (completed_at DESC) WHERE (status = 'completed'::text);
CREATE INDEX tasks_parent ON public.tasks USING btree (parent_id) WHERE (parent_id IS NOT NULL);
CREATE INDEX tasks_pending ON public.tasks USING btree (addressee, created_at, id) WHERE (status = 'pending'::text);
CREATE INDEX tasks_running ON public.tasks USING btree (started_at) WHERE (status = 'running'::text);
CREATE TRIGGER addressees_log_delete AFTER DELETE ON public.addressees REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_deleted_rows();
CREATE TRIGGER addressees_log_insert AFTER INSERT ON public.addressees REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_inserted_tasks();
CREATE TRIGGER addressees_log_update AFTER UPDATE ON public.addressees REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_updated_tasks();
CREATE TRIGGER credentials_notify AFTER INSERT OR UPDATE OF blocked_until, problem ON public.credentials FOR EACH STATEMENT EXECUTE FUNCTION public.notify_engine();
CREATE TRIGGER engine_state_notify AFTER UPDATE OF paused, max_live_runs ON public.engine_state FOR EACH STATEMENT EXECUTE FUNCTION public.notify_engine();
CREATE TRIGGER profiles_log_change AFTER INSERT OR DELETE OR UPDATE ON public.profiles FOR EACH STATEMENT EXECUTE FUNCTION public.log_changed_profiles();
CREATE TRIGGER runs_log_delete AFTER DELETE ON public.runs REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_deleted_rows();
CREATE TRIGGER runs_log_update AFTER UPDATE ON public.runs REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_updated_runs();
CREATE TRIGGER runs_refuse_truncate BEFORE TRUNCATE ON public.runs FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_truncate();
CREATE TRIGGER task_options_log_delete AFTER DELETE ON public.task_options REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_changed_options();
CREATE TRIGGER task_options_log_insert AFTER INSERT ON public.task_options REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_changed_options();
CREATE TRIGGER task_options_log_update AFTER UPDATE ON public.task_options REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_changed_options();
CREATE TRIGGER tasks_audit_delete AFTER DELETE ON public.tasks REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.audit_task_deletes();
CREATE TRIGGER tasks_audit_update AFTER UPDATE ON public.tasks REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.audit_task_updates();
CREATE TRIGGER tasks_follow_content AFTER UPDATE ON public.tasks FOR EACH ROW WHEN (((old.status = 'pending'::text) AND (new.status = 'pending'::text) AND ((((old.addressee IS DISTINCT FROM new.addressee) OR (old.prompt IS DISTINCT FROM new.prompt)) OR (old.repo_url IS DISTINCT FROM new.repo_url)) OR (old.branch IS DISTINCT FROM new.branch)))) EXECUTE FUNCTION public.follow_task_edit();
CREATE TRIGGER tasks_follow_delete AFTER DELETE ON public.tasks FOR EACH ROW EXECUTE FUNCTION public.follow_task_edit();
CREATE TRIGGER tasks_follow_update AFTER UPDATE ON public.tasks FOR EACH ROW WHEN (((old.status <> 'pending'::text) AND (old.status IS DISTINCT FROM new.status))) EXECUTE FUNCTION public.follow_task_edit();
CREATE TRIGGER tasks_guard_update BEFORE UPDATE ON public.tasks FOR EACH ROW EXECUTE FUNCTION public.guard_task_update();
CREATE TRIGGER tasks_log_delete AFTER DELETE ON public.tasks REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_deleted_rows();
CREATE TRIGGER tasks_log_insert AFTER INSERT ON public.tasks REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_inserted_tasks();
CREATE TRIGGER tasks_log_update AFTER UPDATE ON public.tasks REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_updated_tasks();
CREATE TRIGGER tasks_refuse_insert BEFORE INSERT ON public.tasks FOR EACH ROW WHEN (((new.status IS DISTINCT FROM 'pending'::text) OR (num_nonnulls(new.started_at, new.completed_at, new.result, new.worker_pod) > 0) OR (public.task_problem(new.addressee, new.prompt, new.repo_url, new.branch) IS NOT NULL))) EXECUTE FUNCTION public.refuse_task_insert();
CREATE TRIGGER tasks_refuse_truncate BEFORE TRUNCATE ON public.tasks FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_truncate();
ALTER TABLE ONLY public.addressees
    ADD CONSTRAINT addressees_profile_fkey FOREIGN KEY (profile) REFERENCES public.profiles(name);
ALTER TABLE ONLY public.profiles
    ADD CONSTRAINT profiles_credential_fkey FOREIGN KEY (credential) REFERENCES public.credentials(name);
ALTER TABLE ONLY public.run_transcripts
    ADD CONSTRAINT run_transcripts_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.task_options
    ADD CONSTRAINT task_options_profile_fkey FOREIGN KEY (profile) REFERENCES public.profiles(name);
ALTER TABLE ONLY public.task_options
    ADD CONSTRAINT task_options_task_id_fkey FOREIGN KEY (task_id) REFERENCES public.tasks(id) ON DELETE CASCADE;
