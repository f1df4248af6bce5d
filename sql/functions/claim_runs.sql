-- The claim: takes up to p_limit tasks and writes a live run for each, in one transaction. Called by dispatch.
--
-- Guarantees: at most one live run a slot and a task (unique indexes), at most capacity live runs an addressee, the
-- oldest pending task of an addressee first, the oldest head first over all addressees; while the global limit binds,
-- places go round over the repositories, the one with the fewest live runs first. Its cost does not grow with the
-- backlog: it looks at lanes that changed and at lanes that are ready.
-- Returns the claimed runs with what their launch needs (to_launch: rows of the view unlaunched_runs), how many changes
-- of lanes it worked off (drained; more may be left), and in how many milliseconds a gate opens by the clock alone (a
-- pause after a failure, a usage limit; null if none).
-- Ids and token hashes of the new runs are given, because the token is made outside of the database.
-- Locks: the epoch (shared), the claimed tasks (skipping locked ones: such a head keeps its place), their new runs.
-- Raises MZ001 when the epoch is over.
drop function if exists claim_runs(bigint, text, text, integer, uuid[], bytea[]);
create function claim_runs(
  p_epoch bigint, p_launcher text, p_host text, p_limit integer, p_run_ids uuid[], p_token_hashes bytea[]
) returns table (to_launch jsonb, drained integer, next_look_ms integer)
  language plpgsql
  -- every statement here goes by an index, whatever the values and however old the statistics; and a plan made for
  -- each call would cost more than it saves
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  -- a bitmap never marks dead index entries, and those of ended runs would be walked until the next vacuum
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  -- the switched-off ways make plans look dear, and compiling them costs 300 ms a call on Postgres 15
  set jit = off
as $$
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

-- Heads of ready lanes behind open credentials, oldest first.
create or replace function oldest_ready_heads(p_limit integer) returns uuid[]
  language plpgsql stable as $$
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

-- Whether heads of more than one repository are ready: what fairness is about. Two look-ups a credential.
create or replace function several_repositories_wait() returns boolean
  language plpgsql stable as $$
begin
  return (
    select
      min((select l.repo_url from lanes l where l.credential = c.name and l.ready order by l.repo_url limit 1))
      < max((select l.repo_url from lanes l where l.credential = c.name and l.ready order by l.repo_url desc limit 1))
    from credentials c
    where c.problem is null and coalesce(c.blocked_until <= myzel_now(), true));
end $$;

-- The same while the global limit binds: places go round over the repositories, the one with the fewest live runs
-- first, oldest head first within each. Walks the distinct repositories of ready lanes, not the lanes.
create or replace function fair_ready_heads(p_limit integer) returns uuid[]
  language sql stable as $$
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
