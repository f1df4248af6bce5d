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
      case when v_oldest.settled_at is not null then ', which is ending'
        when v_oldest.stop_requested_at is not null then ', which is being stopped' else '' end,
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
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
declare
  v_changed text[];
  v_profile_changed boolean;
  v_places integer;
  v_heads uuid[];
  v_tasks uuid[];
  v_runs uuid[];
  v_addressees text[];
begin
  to_launch := '[]';
  perform hold_epoch(p_epoch);
  -- 1. Lanes that changed, and lanes whose pause after a failure is over.
  with gone as (
    delete from lane_changes where ctid = any (array(select ctid from lane_changes limit 2000)) returning addressee
  )
  select array_agg(distinct addressee), count(*) into v_changed, drained from gone;
  v_profile_changed := coalesce('' = any (v_changed), false);
  if v_profile_changed then
    insert into lane_changes (addressee) select addressee from lanes; -- the next claim begins with them
    v_changed := array_remove(v_changed, '');
  end if;
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
  if v_places <= 0 or v_profile_changed then
    return next;
    return;
  end if;
  -- 3. Heads to start, oldest first; fairly over the repositories where not all of them can.
  v_heads := oldest_ready_heads(v_places + 1);
  if cardinality(v_heads) > v_places then
    v_heads := case when several_repositories_wait() then fair_ready_heads(v_places) else v_heads[:v_places] end;
  end if;
  -- 4. Lock them, each as the head its lane said it is; a run for each, on the lowest free slot.
  with head as materialized (
    select t.id, t.addressee, t.created_at, t.repo_url, lane.profile, lane.credential
    from unnest(v_heads) h (id)
    cross join lateral (
      select t.id, t.addressee, t.created_at, t.repo_url, t.status from tasks t
      where t.id = h.id
      limit 1
      for update skip locked
    ) t
    cross join lateral (
      select l.profile, l.credential from lanes l
      where l.addressee = t.addressee and l.head_task_id = t.id and l.head_created_at = t.created_at
      limit 1
    ) lane
    where t.status = 'pending'
  ), chosen as (
    select
      head.id as task_id, head.addressee, head.repo_url, head.profile, head.credential,
      slot.slot,
      coalesce(last.attempt, 0) + 1 as attempt,
      case
        when last.retry_at is null then 0
        when last.failure_code = 'usage_limit' then last.retries
        else last.retries + 1
      end as retries,
      row_number() over (order by head.created_at, head.id) as place
    from head
    left join lateral (
      select a.capacity, a.paused from addressees a where a.addressee = head.addressee limit 1) a on true
    left join lateral (
      select r.attempt, r.retries, r.retry_at, r.failure_code from runs r
      where r.task_id = head.id
      order by r.attempt desc
      limit 1
    ) last on true
    cross join lateral (
      select s.slot from generate_series(1, coalesce(a.capacity, 1)) s (slot)
      where not exists (
        select 1 from runs r where r.addressee = head.addressee and r.slot = s.slot and r.finished_at is null)
      order by s.slot
      limit 1
    ) slot
    where not coalesce(a.paused, false)
      and (select count(*) from runs r where r.addressee = head.addressee and r.finished_at is null)
        < coalesce(a.capacity, 1)
  ), inserted as (
    insert into runs (id, task_id, addressee, slot, attempt, retries, epoch, launcher, host, job_name, profile,
      credential, repo_url, token_hash)
    select p_run_ids[place], task_id, addressee, slot, attempt, retries, p_epoch, p_launcher, p_host,
      'task-' || task_id || '-' || attempt, profile, credential, repo_url, p_token_hashes[place]
    from chosen
    returning id, task_id, addressee
  )
  select array_agg(task_id), array_agg(id), array_agg(addressee) into v_tasks, v_runs, v_addressees from inserted;
  -- 5. The tasks run; the next claim makes their lanes anew (the trigger logged them).
  if v_runs is not null then
    update tasks set status = 'running', started_at = myzel_now() where id = any (v_tasks);
    delete from lanes where addressee = any (v_addressees);
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
)
WITH (autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_threshold='1000');
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
CREATE FUNCTION public.delete_events(p_ids bigint[]) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
  v_deleted bigint;
begin
  delete from task_events
  where id = any (array(select e.id from task_events e where e.id = any (p_ids) for update skip locked));
  get diagnostics v_deleted = row_count;
  return v_deleted;
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
    settled_at timestamp with time zone,
    waiting_for text,
    CONSTRAINT runs_outcome_when_finished CHECK (
CASE
    WHEN (finished_at IS NULL) THEN ((success IS NULL) AND (failure_code IS NULL) AND (retry_at IS NULL))
    ELSE ((success IS NOT NULL) AND (success = (failure_code IS NULL)))
END),
    CONSTRAINT runs_slot_positive CHECK ((slot >= 1))
)
WITH (fillfactor='80', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_threshold='1000');
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
CREATE FUNCTION public.follow_task_content() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
begin
  update runs set announced = null where task_id = old.id and announced is not null;
  return null;
end $$;
CREATE FUNCTION public.follow_task_deletes() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
  update runs r set stop_requested_at = myzel_now(), stop_reason = 'task deleted'
  from old_rows o
  where r.task_id = o.id and r.success is null and r.stop_requested_at is null;
  if found then
    perform pg_notify('myzel', '');
  end if;
  return null;
end $$;
CREATE FUNCTION public.follow_task_updates() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET enable_hashjoin TO 'on'
    SET enable_nestloop TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_stopped uuid[];
begin
  -- 1. A running task has a live run that nobody stops.
  if exists (
    select from new_rows n
    where n.status = 'running'
      and (
        select r.id from runs r
        where r.task_id = n.id and r.success is null and r.stop_requested_at is null
        limit 1) is null
  ) then
    perform refuse_running();
  end if;
  -- 2. The lanes of what is or was pending; the end of a run is logged by runs.
  insert into lane_changes (addressee)
    select addressee from old_rows where status = 'pending'
    union
    select addressee from new_rows where status = 'pending';
  if found then
    perform wake_engine();
  end if;
  -- 3. A live run whose task is not running any more is to be stopped (a settle finishes the run first).
  select array_agg(n.id) into v_stopped
  from new_rows n
  cross join lateral (
    select from runs r
    where r.task_id = n.id and r.success is null and r.stop_requested_at is null
    limit 1
  ) live
  where n.status <> 'running';
  if v_stopped is not null then
    update runs r set
      stop_requested_at = myzel_now(),
      stop_reason = case n.status when 'pending' then 'rescheduled'
        else coalesce(n.result ->> 'error', 'completed by hand') end
    from new_rows n
    where n.id = any (v_stopped) and r.task_id = n.id and r.success is null and r.stop_requested_at is null;
    perform pg_notify('myzel', '');
  end if;
  -- 4. A task that was put back by hand, not by the engine, begins a new chain of attempts.
  if v_stopped is not null or exists (select from old_rows where status = 'completed') then
    update runs r set retry_at = null
    from new_rows n
    where n.status = 'pending' and r.task_id = n.id and r.retry_at is not null
      and (n.id = any (v_stopped) or exists (select from old_rows o where o.id = n.id and o.status = 'completed'));
  end if;
  -- 5. The audit: a row for each task that changed.
  insert into task_events (task_id, run_id, event, from_status, to_status, detail)
  select
    change.task_id,
    (change.run).id,
    case
      when change.from_status = change.to_status then 'edited'
      when change.to_status = 'running' then 'started'
      when change.to_status = 'completed' and change.from_status = 'pending' then 'cancelled'
      when change.to_status = 'completed' then
        case
          when (change.run).id is not null and (change.run).success is null and (change.run).settled_at is null then 'stopped'
          else 'completed' end
      -- put back by the engine after a failure of the infrastructure or a usage limit
      when change.from_status = 'running' and (change.run).retry_at is not null then 'requeued'
      else 'rescheduled'
    end,
    change.from_status,
    change.to_status,
    change.detail
  from (
    select
      n.id as task_id,
      o.status as from_status,
      n.status as to_status,
      (select r from runs r where r.task_id = n.id order by r.attempt desc limit 1) as run,
      case
        when n.status = 'completed' then jsonb_strip_nulls(jsonb_build_object(
          'success', n.result -> 'success', 'code', n.result -> 'code'))
        when o.status = n.status then (
          select jsonb_object_agg(key, 'changed')
          from jsonb_each(to_jsonb(n)) new_column
          where new_column.value is distinct from to_jsonb(o) -> new_column.key)
      end as detail
    from new_rows n
    join old_rows o using (id)
    where o.status <> n.status
      -- the pod's name is the engine's own note
      or (o.worker_pod is not distinct from n.worker_pod and o is distinct from n)
    offset 0 -- each run is looked up once
  ) change;
  return null;
end $$;
CREATE FUNCTION public.guard_task_content() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
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
CREATE FUNCTION public.guard_task_insert() RETURNS trigger
    LANGUAGE plpgsql
    AS $_$
declare
  v_problem text;
begin
  if new.status = 'pending'
    and num_nonnulls(new.started_at, new.completed_at, new.result, new.worker_pod, new.repo_url, new.branch) = 0
    and new.addressee ~ '^[!-~]+$' and octet_length(new.addressee) <= 200
    and ascii(new.prompt) between 33 and 126 and octet_length(new.prompt) <= 1048576
  then
    return new;
  end if;
  v_problem := public.task_problem(new.addressee, new.prompt, new.repo_url, new.branch);
  if v_problem is null and new.status is distinct from 'pending' then
    v_problem := format('A new task is pending, not "%s": leave status out; only the engine starts runs.', new.status);
  elsif v_problem is null and num_nonnulls(new.started_at, new.completed_at, new.result, new.worker_pod) > 0 then
    v_problem := 'A new task has no started_at, completed_at, result or worker_pod: leave them out.';
  end if;
  if v_problem is not null then
    raise exception using errcode = 'MZ002', message = v_problem;
  end if;
  return new;
end $_$;
CREATE FUNCTION public.guard_task_status() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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
  insert into lane_changes (addressee) values ('');
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
CREATE FUNCTION public.log_deleted_runs() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
  insert into lane_changes (addressee)
    select distinct addressee from old_rows where finished_at is null or retry_at is not null;
  if found then
    perform wake_engine();
  end if;
  return null;
end $$;
CREATE FUNCTION public.log_inserted_tasks() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
begin
  insert into public.lane_changes (addressee) select distinct addressee from new_rows;
  if not pg_catalog.pg_try_advisory_xact_lock_shared(1299798577, 3) then
    perform pg_catalog.pg_notify('myzel', '');
  end if;
  return null;
end $$;
CREATE FUNCTION public.log_updated_addressees() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
begin
  insert into lane_changes (addressee) select addressee from old_rows union select addressee from new_rows;
  perform wake_engine();
  return null;
end $$;
CREATE FUNCTION public.log_updated_runs() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET enable_hashjoin TO 'on'
    SET enable_nestloop TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
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
CREATE FUNCTION public.mark_launched(p_epoch bigint, p_run_ids uuid[], p_pod_names text[]) RETURNS void
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
  perform hold_epoch(p_epoch);
  -- Nothing is lost with it: a job that is not marked is found and marked again.
  perform set_config('synchronous_commit', 'off', true);
  perform from tasks t
  where t.id = any (array(select r.task_id from runs r where r.id = any (p_run_ids)))
  order by t.id
  for update;
  with launched as (
    update runs r set
      launched_at = coalesce(r.launched_at, myzel_now()),
      pod_name = coalesce(p_pod_names[array_position(p_run_ids, r.id)], r.pod_name)
    where r.id = any (p_run_ids) and r.finished_at is null
    returning r.task_id, r.pod_name, r.stop_requested_at
  ), told as materialized (
    select t.row, l.pod_name
    from launched l
    cross join lateral (select t.ctid as row, t.worker_pod from tasks t where t.id = l.task_id limit 1) t
    -- a run that is live and not to be stopped is its task's own: the task is running
    where l.stop_requested_at is null and t.worker_pod is distinct from l.pod_name
  )
  update tasks t set worker_pod = told.pod_name from told where t.ctid = told.row; -- locked above: it stays where it is
end $$;
CREATE FUNCTION public.note_waiting(p_epoch bigint, p_run_id uuid, p_waiting_for text) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  perform hold_epoch(p_epoch);
  perform set_config('synchronous_commit', 'off', true);
  update runs set waiting_for = left(p_waiting_for, 2000) where id = p_run_id and finished_at is null;
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
CREATE FUNCTION public.prune_events(p_before timestamp with time zone, p_limit integer, p_after jsonb, p_dry_run boolean) RETURNS TABLE(pruned bigint, bytes bigint, next_after jsonb)
    LANGUAGE plpgsql
    SET lock_timeout TO '200ms'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
declare
  v_after bigint := coalesce((p_after ->> 0)::bigint, 0);
  v_old bigint[];
begin
  bytes := 0;
  -- Ids are in the order of their times but for transactions that overlap: the first batch without an old row is the end.
  select
    array_agg(e.id) filter (where e.at < p_before),
    case when count(*) = p_limit and bool_or(e.at < p_before) then jsonb_build_array(max(e.id)) end
  into v_old, next_after
  from (select id, at from task_events where id > v_after order by id limit p_limit) e;
  pruned := case when p_dry_run then coalesce(cardinality(v_old), 0) else delete_events(v_old) end;
  return next;
end $$;
CREATE FUNCTION public.prune_runs(p_before timestamp with time zone, p_limit integer, p_after jsonb, p_dry_run boolean) RETURNS TABLE(pruned bigint, bytes bigint, next_after jsonb)
    LANGUAGE plpgsql
    SET lock_timeout TO '200ms'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
declare
  v_after_at timestamptz := coalesce((p_after ->> 0)::timestamptz, '-infinity');
  v_after_id uuid := coalesce((p_after ->> 1)::uuid, '00000000-0000-0000-0000-000000000000');
  v_old uuid[];
begin
  bytes := 0;
  select
    array_agg(o.id),
    case when count(*) < o.found or o.found = p_limit
      then jsonb_build_array(max(o.finished_at), (array_agg(o.id order by o.finished_at desc, o.id desc))[1]) end
  into v_old, next_after
  from (
    select r.id, r.finished_at, count(*) over () as found,
      -- of those before it in this batch
      sum(r.bytes) over (order by r.finished_at, r.id) - r.bytes as bytes_before
    from (
      select r.id, r.finished_at,
        coalesce((select octet_length(t.content) from run_transcripts t where t.run_id = r.id), 0) as bytes
      from runs r
      where r.finished_at is not null and r.finished_at >= v_after_at and r.finished_at < p_before
        and (r.finished_at, r.id) > (v_after_at, v_after_id)
      order by r.finished_at, r.id
      limit p_limit
    ) r
  ) o
  where o.bytes_before < 67108864
  group by o.found;
  -- Where the task exists, it is completed and a later run of it is there.
  v_old := array(
    select r.id from runs r
    where r.id = any (v_old) and coalesce((
      select t.status = 'completed'
        and exists (select from runs later where later.task_id = t.id and later.attempt > r.attempt)
      from tasks t where t.id = r.task_id), true));
  if p_dry_run then
    pruned := cardinality(v_old);
    return next;
    return;
  end if;
  v_old := array(select r.id from runs r where r.id = any (v_old) for update skip locked);
  delete from run_transcripts t
  where t.run_id = any (array(select l.run_id from run_transcripts l where l.run_id = any (v_old) for update skip locked));
  -- A run whose transcript is locked stays with it: the foreign key would wait for that lock.
  v_old := array(
    select r.id from runs r
    where r.id = any (v_old) and not exists (select from run_transcripts t where t.run_id = r.id));
  perform delete_events(array(
    select e.id from runs r
    join task_events e on e.task_id = r.task_id and e.run_id = r.id
    where r.id = any (v_old)));
  delete from runs r where r.id = any (v_old);
  get diagnostics pruned = row_count;
  return next;
end $$;
CREATE FUNCTION public.prune_transcripts(p_before timestamp with time zone, p_limit integer, p_after jsonb, p_dry_run boolean) RETURNS TABLE(pruned bigint, bytes bigint, next_after jsonb)
    LANGUAGE plpgsql
    SET lock_timeout TO '200ms'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
declare
  v_after_at timestamptz := coalesce((p_after ->> 0)::timestamptz, '-infinity');
  v_after_id uuid := coalesce((p_after ->> 1)::uuid, '00000000-0000-0000-0000-000000000000');
  v_old uuid[];
begin
  select
    array_agg(o.run_id),
    case when count(*) < o.found or o.found = p_limit
      then jsonb_build_array(max(o.stored_at), (array_agg(o.run_id order by o.stored_at desc, o.run_id desc))[1]) end
  into v_old, next_after
  from (
    select t.run_id, t.stored_at, count(*) over () as found,
      -- of those before it in this batch
      sum(t.bytes) over (order by t.stored_at, t.run_id) - t.bytes as bytes_before
    from (
      select t.run_id, t.stored_at, octet_length(t.content) as bytes from run_transcripts t
      where t.stored_at >= v_after_at and t.stored_at < p_before and (t.stored_at, t.run_id) > (v_after_at, v_after_id)
      order by t.stored_at, t.run_id
      limit p_limit
    ) t
  ) o
  where o.bytes_before < 67108864
  group by o.found;
  if not p_dry_run then
    v_old := array(
      select t.run_id from run_transcripts t
      where t.run_id = any (v_old) and exists (select from runs r where r.id = t.run_id and r.finished_at is not null)
      for update skip locked);
    with gone as (
      delete from run_transcripts t where t.run_id = any (v_old) returning octet_length(t.content) as content_bytes
    )
    select count(*), coalesce(sum(content_bytes), 0) into pruned, bytes from gone;
  else
    select count(*), coalesce(sum(octet_length(t.content)), 0) into pruned, bytes
    from run_transcripts t
    where t.run_id = any (v_old) and exists (select from runs r where r.id = t.run_id and r.finished_at is not null);
  end if;
  return next;
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
  insert into lanes as l (addressee, head_task_id, head_created_at, repo_url, profile, credential, ready, wake_at)
  select
    head.addressee,
    head.id,
    head.created_at,
    coalesce(head.repo_url, ''),
    profile.name,
    profile.credential,
    profile.role <> 'human'
      and not coalesce(a.paused, false)
      and live.count < coalesce(a.capacity, 1)
      and not coalesce(last.live, false)
      and coalesce(last.retry_at <= myzel_now(), true),
    case when last.retry_at > myzel_now() then last.retry_at end
  from touched head
  left join lateral (
    select a.capacity, a.paused, a.profile from addressees a where a.addressee = head.addressee limit 1) a on true
  left join lateral (select o.profile from task_options o where o.task_id = head.id limit 1) o on true
  cross join lateral (select resolve_profile(head.addressee, o.profile, a.profile) as profile offset 0) resolved
  join profiles profile on profile.name = resolved.profile
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
  order by head.created_at, head.id -- as they will be claimed: then one batch of claims touches few pages
  on conflict (addressee) do update set
    head_task_id = excluded.head_task_id,
    head_created_at = excluded.head_created_at,
    repo_url = excluded.repo_url,
    profile = excluded.profile,
    credential = excluded.credential,
    ready = excluded.ready,
    wake_at = excluded.wake_at
  where (l.head_task_id, l.head_created_at, l.repo_url, l.profile, l.credential, l.ready, l.wake_at)
    is distinct from (excluded.head_task_id, excluded.head_created_at, excluded.repo_url, excluded.profile,
      excluded.credential, excluded.ready, excluded.wake_at);
end $$;
CREATE FUNCTION public.refuse_running() RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  raise exception using errcode = 'MZ002',
    message = 'Only the engine starts runs: set status to pending and the task starts as soon as a slot is free.';
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
    LANGUAGE sql STABLE
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
CREATE FUNCTION public.runs_fit_since(p_max_runs bigint) RETURNS timestamp with time zone
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
begin
  if p_max_runs is null then
    return null; -- an offset that is null would be none
  end if;
  return (
    select finished_at from runs
    where finished_at is not null
    order by finished_at desc
    offset p_max_runs - 1
    limit 1);
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
  v_ids uuid[] := array(select distinct (s ->> 'run_id')::uuid from jsonb_array_elements(p_settlements) s);
  v_live uuid[];
  v_own uuid[];
  v_settled uuid[];
  v_one record;
begin
  perform hold_epoch(p_epoch);
  -- 1. Lock the tasks, then their live runs: whoever edits one by hand has done so before, or comes after.
  perform from tasks t
  where t.id = any (array(select r.task_id from runs r where r.id = any (v_ids)))
  order by t.id
  for update;
  v_live := array(
    select r.id from runs r where r.id = any (v_ids) and r.finished_at is null order by r.id for update);
  -- 2. The runs; then the tasks that are still theirs. Each row is looked up by its key, then found by its place: it is
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
      model = s.model
    from settlement s
    where r.ctid = s.run_row and coalesce(s.job_ended, true)
    returning r.id, r.attempt, r.pod_name, s.task_row, s.own, s.action, s.settlement
  ), reported as (
    update runs r set
      launched_at = coalesce(r.launched_at, myzel_now()),
      pod_name = coalesce(s.pod_name, r.pod_name),
      settled_at = myzel_now(),
      stop_requested_at = myzel_now(),
      stop_reason = 'Its report is in.'
    from settlement s
    where r.ctid = s.run_row and not s.job_ended and s.own and s.action = 'complete'
    returning r.id, r.attempt, r.pod_name, s.task_row, s.own, s.action, s.settlement
  ), settled as materialized (
    select * from finished union all select * from reported
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
  select array_agg(id), array_agg(id) filter (where own) into v_settled, v_own from settled;
  -- 3. What few of them have: tasks to create, a usage limit.
  for v_one in
    select distinct on (r.task_id) s.value as settlement, r.id, r.task_id, r.credential
    from jsonb_array_elements(p_settlements) s
    cross join lateral (
      select r.id, r.task_id, r.credential from runs r where r.id = (s.value ->> 'run_id')::uuid limit 1) r
    where r.id = any (v_settled)
      and (s.value ->> 'blocked_until' is not null or coalesce(s.value -> 'tasks', '[]') not in ('[]', 'null'))
    order by r.task_id
  loop
    if v_one.id = any (v_own) and (v_one.settlement ->> 'success')::boolean then
      perform create_children(t, v_one.settlement -> 'tasks') from tasks t where t.id = v_one.task_id;
    end if;
    -- Only ever later: a run that started before the limit was known must not reopen the credential.
    update credentials set
      blocked_until = (v_one.settlement ->> 'blocked_until')::timestamptz,
      blocked_reason = v_one.settlement ->> 'blocked_reason'
    where name = v_one.credential
      and coalesce(blocked_until < (v_one.settlement ->> 'blocked_until')::timestamptz,
        v_one.settlement ->> 'blocked_until' is not null);
  end loop;
  return query
  select id, case
    when id = any (v_settled) then 'settled'
    when exists (select from runs r where r.id = ids.id) then 'already'
    else 'unknown' end
  from unnest(v_ids) ids (id);
end $$;
CREATE FUNCTION public.several_repositories_wait() RETURNS boolean
    LANGUAGE plpgsql STABLE
    AS $$
begin
  return (
    select
      min((select l.repo_url from lanes l where l.credential = c.name and l.ready order by l.repo_url limit 1))
      < max((select l.repo_url from lanes l where l.credential = c.name and l.ready order by l.repo_url desc limit 1))
    from credentials c
    where c.problem is null and coalesce(c.blocked_until <= myzel_now(), true));
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
CREATE FUNCTION public.transcripts_fit_since(p_max_bytes bigint) RETURNS timestamp with time zone
    LANGUAGE plpgsql STABLE
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
  v_transcript record;
  v_bytes bigint := 0;
  v_since timestamptz := 'infinity';
begin
  if p_max_bytes is null or pg_total_relation_size('run_transcripts') <= p_max_bytes then
    return null;
  end if;
  for v_transcript in select t.stored_at, octet_length(t.content) as bytes from run_transcripts t order by t.stored_at desc
  loop
    v_bytes := v_bytes + v_transcript.bytes;
    if v_bytes > p_max_bytes then
      return v_since;
    end if;
    v_since := v_transcript.stored_at;
  end loop;
  return null;
end $$;
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
    wake_at timestamp with time zone,
    profile text NOT NULL
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
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='500', toast.autovacuum_vacuum_scale_factor='0.02', toast.autovacuum_vacuum_threshold='5000');
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
)
WITH (autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_threshold='1000');
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
    c.secret_key,
    p.role
   FROM ((public.runs r
     LEFT JOIN public.profiles p ON ((p.name = r.profile)))
     LEFT JOIN public.credentials c ON ((c.name = r.credential)))
  WHERE ((r.finished_at IS NULL) AND (r.launched_at IS NULL) AND (r.stop_requested_at IS NULL));
INSERT INTO public.addressees VALUES ('busy', 1, false, NULL);
INSERT INTO public.addressees VALUES ('closed', 0, false, NULL);
INSERT INTO public.credentials VALUES ('default', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.engine_state VALUES (true, 1, 'a74eb87c-875d-4f27-b7e4-a54f1a133f3a', 'old-host', 1, '0', 'process', 100, '2026-11-21 16:26:58.934278+00', '2026-11-21 16:26:58.934279+00', false, '\x00');
INSERT INTO public.kysely_migration VALUES ('0001_core', '2026-11-21T16:26:58.769Z');
INSERT INTO public.kysely_migration VALUES ('0002_lean_queue', '2026-11-21T16:26:58.773Z');
INSERT INTO public.kysely_migration VALUES ('0003_pruning', '2026-11-21T16:26:58.774Z');
INSERT INTO public.kysely_migration VALUES ('0004_ends_and_waits', '2026-11-21T16:26:58.776Z');
INSERT INTO public.kysely_migration VALUES ('0005_time_ordered_ids', '2026-11-21T16:26:58.778Z');
INSERT INTO public.kysely_migration_lock VALUES ('migration_lock', 0);
INSERT INTO public.lane_changes VALUES ('done');
INSERT INTO public.lane_changes VALUES ('failed');
INSERT INTO public.lane_changes VALUES ('retried');
INSERT INTO public.lane_changes VALUES ('retried');
INSERT INTO public.lanes VALUES ('closed', '3403e8c4-694c-48d0-b8a8-9c902ed06a21', '2026-11-21 16:26:58.944289+00', 'https://host/old.git', 'default', false, NULL, 'red');
INSERT INTO public.lanes VALUES ('busy', '78dcf632-3f8f-4aa8-9ae3-bdabd4aebc23', '2026-11-21 16:26:58.943566+00', 'https://host/old.git', 'default', false, NULL, 'red');
INSERT INTO public.profiles VALUES ('red', 'red', '%', NULL, NULL, NULL, NULL, '02:00:00', '00:05:00', '00:30:00', NULL, NULL, NULL, NULL, 'default', NULL, 1, false, false, false, false, '{}', '{}');
INSERT INTO public.profiles VALUES ('green', 'green', 'project-mgr-%', NULL, NULL, NULL, NULL, '02:00:00', '00:05:00', '00:30:00', NULL, NULL, NULL, NULL, 'default', NULL, 1, false, false, false, true, '{}', '{}');
INSERT INTO public.profiles VALUES ('human', 'human', 'blue', NULL, NULL, NULL, NULL, '02:00:00', '00:05:00', '00:30:00', NULL, NULL, NULL, NULL, 'default', NULL, 1, false, false, false, false, '{}', '{}');
INSERT INTO public.runs VALUES ('01a1feee-b404-73c8-b63f-3dc1e279b2a3', '9a81c46e-3f4d-4fd9-bba7-4316a33a4c19', 'busy', 1, 1, 0, 1, 'process', 'old-host', 'task-9a81c46e-3f4d-4fd9-bba7-4316a33a4c19-1', NULL, 'red', 'default', 'https://host/old.git', '2026-11-21 16:26:58.971046+00', NULL, NULL, '\x96c86431db477f0c52c603f17627b6afae90907c00153ab10782932cc9686a0c', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.runs VALUES ('01a1feee-b404-7c8d-8756-404acf1c825f', '490b7b2a-f4e5-4ebe-b297-91d22edea3cf', 'project-mgr-old', 1, 1, 0, 1, 'process', 'old-host', 'task-490b7b2a-f4e5-4ebe-b297-91d22edea3cf-1', NULL, 'green', 'default', 'https://host/old.git', '2026-11-21 16:26:58.971052+00', NULL, NULL, '\x132a1afd4bba41e7acc08908be37ac172fd0140addadab00d22193ebe41856b4', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.runs VALUES ('01a1feee-b404-7113-925d-dbc22f0f97da', '0626912c-1dcb-4780-a062-f258bf43c615', 'optioned', 1, 1, 0, 1, 'process', 'old-host', 'task-0626912c-1dcb-4780-a062-f258bf43c615-1', NULL, 'red', 'default', NULL, '2026-11-21 16:26:58.971057+00', NULL, NULL, '\x9e5d413be2963b64777b7a224e4ce583cfdf5aa7ad3265bc79f50dd513c76f13', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.runs VALUES ('01a1feee-b404-78f2-9048-145446e0a89a', '6ef6892b-45cf-43d0-94bc-6eb54017a652', 'done', 1, 1, 0, 1, 'process', 'old-host', 'task-6ef6892b-45cf-43d0-94bc-6eb54017a652-1', NULL, 'red', 'default', 'https://host/old.git', '2026-11-21 16:26:58.97077+00', NULL, '2026-11-21 16:26:58.987961+00', '\x96da97c41634ea59c15e08112a1e1750900921fb1b16bc42b2fb240182492167', NULL, NULL, NULL, NULL, NULL, true, NULL, NULL, NULL, NULL, NULL, NULL, 1.500000, NULL, NULL, NULL, NULL, 2, NULL, NULL, NULL, NULL);
INSERT INTO public.runs VALUES ('01a1feee-b404-7288-9f19-ea70966a6d7f', '48a42fb3-ef27-4c7f-bbd8-3f1765689081', 'failed', 1, 1, 0, 1, 'process', 'old-host', 'task-48a42fb3-ef27-4c7f-bbd8-3f1765689081-1', NULL, 'red', 'default', 'https://host/old.git', '2026-11-21 16:26:58.971021+00', NULL, '2026-11-21 16:26:58.993832+00', '\x458cdeb37683c09e0ca753a2dc1fcee71abbe51913c49e10cf33ab1d4e478628', NULL, NULL, NULL, NULL, NULL, false, 'agent_error', 'broke', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.runs VALUES ('01a1feee-b404-71ad-9007-4584bf321be8', 'ab694944-ab21-4e14-ae95-16c605775e65', 'retried', 1, 1, 0, 1, 'process', 'old-host', 'task-ab694944-ab21-4e14-ae95-16c605775e65-1', NULL, 'red', 'default', 'https://host/old.git', '2026-11-21 16:26:58.971041+00', NULL, '2026-11-21 16:26:58.995602+00', '\x54292423fa749188b387cbec919ca63072662a01e4357fa9e1543c3eec4c4aa6', NULL, NULL, NULL, NULL, NULL, false, 'node_lost', 'gone', NULL, '2026-11-21 16:26:58.995603+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.runs VALUES ('01a1feee-b404-796a-b9a1-e92f9f5fb5b9', '7278dd85-6d11-495e-83c5-32b76173069e', 'stopped', 1, 1, 0, 1, 'process', 'old-host', 'task-7278dd85-6d11-495e-83c5-32b76173069e-1', NULL, 'red', 'default', 'https://host/old.git', '2026-11-21 16:26:58.971034+00', NULL, NULL, '\x514b16f7f577220333f381de55a7f4b5dc9cc7ae413845fd68e93932656fd44e', NULL, '2026-11-21 16:26:58.997557+00', 'Stopped by hand.', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.schema_functions VALUES (true, '1759304d81d7eb93e31db82d7bc88076db05ebf9365d7e442c1a49b755651521', '0.1.0', '2026-11-21 16:26:58.721427+00');
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (1, '0626912c-1dcb-4780-a062-f258bf43c615', '01a1feee-b404-7113-925d-dbc22f0f97da', '2026-11-21 16:26:58.97332+00', 'postgres', 'x', 'started', 'pending', 'running', NULL);
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (2, '48a42fb3-ef27-4c7f-bbd8-3f1765689081', '01a1feee-b404-7288-9f19-ea70966a6d7f', '2026-11-21 16:26:58.973614+00', 'postgres', 'x', 'started', 'pending', 'running', NULL);
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (3, '490b7b2a-f4e5-4ebe-b297-91d22edea3cf', '01a1feee-b404-7c8d-8756-404acf1c825f', '2026-11-21 16:26:58.973625+00', 'postgres', 'x', 'started', 'pending', 'running', NULL);
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (4, '6ef6892b-45cf-43d0-94bc-6eb54017a652', '01a1feee-b404-78f2-9048-145446e0a89a', '2026-11-21 16:26:58.973631+00', 'postgres', 'x', 'started', 'pending', 'running', NULL);
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (5, '7278dd85-6d11-495e-83c5-32b76173069e', '01a1feee-b404-796a-b9a1-e92f9f5fb5b9', '2026-11-21 16:26:58.973636+00', 'postgres', 'x', 'started', 'pending', 'running', NULL);
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (6, '9a81c46e-3f4d-4fd9-bba7-4316a33a4c19', '01a1feee-b404-73c8-b63f-3dc1e279b2a3', '2026-11-21 16:26:58.973641+00', 'postgres', 'x', 'started', 'pending', 'running', NULL);
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (7, 'ab694944-ab21-4e14-ae95-16c605775e65', '01a1feee-b404-71ad-9007-4584bf321be8', '2026-11-21 16:26:58.973646+00', 'postgres', 'x', 'started', 'pending', 'running', NULL);
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (8, '6ef6892b-45cf-43d0-94bc-6eb54017a652', '01a1feee-b404-78f2-9048-145446e0a89a', '2026-11-21 16:26:58.990879+00', 'postgres', '', 'completed', 'running', 'completed', '{"success": true}');
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (9, '48a42fb3-ef27-4c7f-bbd8-3f1765689081', '01a1feee-b404-7288-9f19-ea70966a6d7f', '2026-11-21 16:26:58.994372+00', 'postgres', '', 'completed', 'running', 'completed', '{"code": "agent_error", "success": false}');
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (10, 'ab694944-ab21-4e14-ae95-16c605775e65', '01a1feee-b404-71ad-9007-4584bf321be8', '2026-11-21 16:26:58.995956+00', 'postgres', '', 'requeued', 'running', 'pending', NULL);
INSERT INTO public.task_events OVERRIDING SYSTEM VALUE VALUES (11, '7278dd85-6d11-495e-83c5-32b76173069e', '01a1feee-b404-796a-b9a1-e92f9f5fb5b9', '2026-11-21 16:26:58.99793+00', 'postgres', '', 'stopped', 'running', 'completed', '{"code": "stopped", "success": false}');
INSERT INTO public.task_options VALUES ('0626912c-1dcb-4780-a062-f258bf43c615', NULL, 'opus', NULL, NULL, 'old-key', NULL);
INSERT INTO public.tasks VALUES ('78dcf632-3f8f-4aa8-9ae3-bdabd4aebc23', 'busy', 'pending', 'behind it', 'https://host/old.git', NULL, 'postgres', '2026-11-21 16:26:58.943566+00', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.tasks VALUES ('3403e8c4-694c-48d0-b8a8-9c902ed06a21', 'closed', 'pending', 'waits', 'https://host/old.git', NULL, 'postgres', '2026-11-21 16:26:58.944289+00', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.tasks VALUES ('0626912c-1dcb-4780-a062-f258bf43c615', 'optioned', 'running', 'with options', NULL, NULL, 'postgres', '2026-11-21 16:26:58.946836+00', '2026-11-21 16:26:58.971294+00', NULL, NULL, NULL, NULL);
INSERT INTO public.tasks VALUES ('490b7b2a-f4e5-4ebe-b297-91d22edea3cf', 'project-mgr-old', 'running', 'plan', 'https://host/old.git', NULL, 'postgres', '2026-11-21 16:26:58.944904+00', '2026-11-21 16:26:58.971469+00', NULL, NULL, NULL, NULL);
INSERT INTO public.tasks VALUES ('9a81c46e-3f4d-4fd9-bba7-4316a33a4c19', 'busy', 'running', 'running', 'https://host/old.git', NULL, 'postgres', '2026-11-21 16:26:58.942932+00', '2026-11-21 16:26:58.971487+00', NULL, NULL, NULL, NULL);
INSERT INTO public.tasks VALUES ('6ef6892b-45cf-43d0-94bc-6eb54017a652', 'done', 'completed', 'done', 'https://host/old.git', NULL, 'postgres', '2026-11-21 16:26:58.938199+00', '2026-11-21 16:26:58.971476+00', '2026-11-21 16:26:58.988171+00', '{"turns": 2, "branch": null, "attempt": 1, "success": true, "summary": "was done", "cost_usd": 1.5, "commit_sha": null, "files_changed": [], "pull_request_url": null}', NULL, NULL);
INSERT INTO public.tasks VALUES ('48a42fb3-ef27-4c7f-bbd8-3f1765689081', 'failed', 'completed', 'failed', 'https://host/old.git', NULL, 'postgres', '2026-11-21 16:26:58.940719+00', '2026-11-21 16:26:58.97146+00', '2026-11-21 16:26:58.993916+00', '{"code": "agent_error", "logs": null, "error": "broke", "turns": 0, "attempt": 1, "success": false, "cost_usd": 0, "files_changed": []}', NULL, NULL);
INSERT INTO public.tasks VALUES ('ab694944-ab21-4e14-ae95-16c605775e65', 'retried', 'pending', 'retried', 'https://host/old.git', NULL, 'postgres', '2026-11-21 16:26:58.942315+00', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.tasks VALUES ('7278dd85-6d11-495e-83c5-32b76173069e', 'stopped', 'completed', 'stopped', 'https://host/old.git', NULL, 'postgres', '2026-11-21 16:26:58.941612+00', '2026-11-21 16:26:58.971482+00', '2026-11-21 16:26:58.997175+00', '{"code": "stopped", "error": "Stopped by hand.", "success": false}', NULL, NULL);
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
CREATE INDEX run_transcripts_stored ON public.run_transcripts USING btree (stored_at);
CREATE INDEX runs_finished ON public.runs USING btree (finished_at) WHERE (finished_at IS NOT NULL);
CREATE UNIQUE INDEX runs_live_slot ON public.runs USING btree (addressee, slot) WHERE (finished_at IS NULL);
CREATE UNIQUE INDEX runs_live_task ON public.runs USING btree (task_id) WHERE (success IS NULL);
CREATE INDEX task_events_task ON public.task_events USING btree (task_id, id);
CREATE INDEX tasks_completed ON public.tasks USING btree (completed_at DESC) WHERE (status = 'completed'::text);
CREATE INDEX tasks_parent ON public.tasks USING btree (parent_id) WHERE (parent_id IS NOT NULL);
CREATE INDEX tasks_pending ON public.tasks USING btree (addressee, created_at, id) WHERE (status = 'pending'::text);
CREATE INDEX tasks_running ON public.tasks USING btree (started_at) WHERE (status = 'running'::text);
CREATE TRIGGER addressees_log_delete AFTER DELETE ON public.addressees REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_deleted_rows();
CREATE TRIGGER addressees_log_insert AFTER INSERT ON public.addressees REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_inserted_tasks();
CREATE TRIGGER addressees_log_update AFTER UPDATE ON public.addressees REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_updated_addressees();
CREATE TRIGGER credentials_notify AFTER INSERT OR UPDATE OF blocked_until, problem ON public.credentials FOR EACH STATEMENT EXECUTE FUNCTION public.notify_engine();
CREATE TRIGGER engine_state_notify AFTER UPDATE OF paused, max_live_runs ON public.engine_state FOR EACH STATEMENT EXECUTE FUNCTION public.notify_engine();
CREATE TRIGGER profiles_log_change AFTER INSERT OR DELETE OR UPDATE ON public.profiles FOR EACH STATEMENT EXECUTE FUNCTION public.log_changed_profiles();
CREATE TRIGGER runs_log_delete AFTER DELETE ON public.runs REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_deleted_runs();
CREATE TRIGGER runs_log_update AFTER UPDATE ON public.runs REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_updated_runs();
CREATE TRIGGER runs_refuse_truncate BEFORE TRUNCATE ON public.runs FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_truncate();
CREATE TRIGGER task_options_log_delete AFTER DELETE ON public.task_options REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_changed_options();
CREATE TRIGGER task_options_log_insert AFTER INSERT ON public.task_options REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_changed_options();
CREATE TRIGGER task_options_log_update AFTER UPDATE ON public.task_options REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_changed_options();
CREATE TRIGGER tasks_audit_delete AFTER DELETE ON public.tasks REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.audit_task_deletes();
CREATE TRIGGER tasks_follow_content AFTER UPDATE OF addressee, prompt, repo_url, branch ON public.tasks FOR EACH ROW WHEN (((((old.addressee IS DISTINCT FROM new.addressee) OR (old.prompt IS DISTINCT FROM new.prompt)) OR (old.repo_url IS DISTINCT FROM new.repo_url)) OR (old.branch IS DISTINCT FROM new.branch))) EXECUTE FUNCTION public.follow_task_content();
CREATE TRIGGER tasks_follow_delete AFTER DELETE ON public.tasks REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.follow_task_deletes();
CREATE TRIGGER tasks_follow_update AFTER UPDATE ON public.tasks REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.follow_task_updates();
CREATE TRIGGER tasks_guard_content BEFORE UPDATE OF id, parent_id, created_by, created_at, addressee, prompt, repo_url, branch ON public.tasks FOR EACH ROW EXECUTE FUNCTION public.guard_task_content();
CREATE TRIGGER tasks_guard_insert BEFORE INSERT ON public.tasks FOR EACH ROW EXECUTE FUNCTION public.guard_task_insert();
CREATE TRIGGER tasks_guard_status BEFORE UPDATE OF status, started_at, completed_at, result, worker_pod ON public.tasks FOR EACH ROW WHEN ((NOT COALESCE(
        CASE new.status
            WHEN 'pending'::text THEN (num_nonnulls(new.started_at, new.completed_at, new.result, new.worker_pod) = 0)
            WHEN 'running'::text THEN ((new.started_at IS NOT NULL) AND (num_nonnulls(new.completed_at, new.result) = 0))
            WHEN 'completed'::text THEN ((new.completed_at IS NOT NULL) AND (jsonb_typeof(new.result) = 'object'::text))
            ELSE NULL::boolean
        END, false))) EXECUTE FUNCTION public.guard_task_status();
CREATE TRIGGER tasks_log_delete AFTER DELETE ON public.tasks REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_deleted_rows();
CREATE TRIGGER tasks_log_insert AFTER INSERT ON public.tasks REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION public.log_inserted_tasks();
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
