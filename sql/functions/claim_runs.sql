-- The claim: takes up to p_limit tasks and writes a live run for each, in one transaction. Called by dispatch.
--
-- Guarantees: at most one live run a slot and a task (unique indexes), at most capacity live runs an addressee, the
-- oldest pending task of an addressee first, the oldest head first over all addressees; while the global limit binds,
-- places go round over the repositories, the one with the fewest live runs first; never more live runs than a project, an
-- epic or a credential allows, nor two of one repository that will change the same path. Its cost does not grow with the
-- backlog: it looks at lanes that changed and at lanes that are ready.
-- Returns the claimed runs with what their launch needs (to_launch: rows of the view run_launches), how many changes
-- of lanes it worked off or made (drained; more may be left), and in how many milliseconds a gate opens by the clock alone
-- (a pause after a failure, a usage limit, the end of a day; null if none).
-- Ids and token hashes of the new runs are given, because the token is made outside of the database.
-- Locks: the epoch (shared), the claimed tasks (skipping locked ones: such a head keeps its place), their new runs, and
-- the tasks that it parked.
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
  v_gates text[];
  v_profile_changed boolean;
  v_places integer;
  v_heads uuid[];
  v_to_judge text[];
  v_found integer;
  v_parked integer;
  v_tasks uuid[];
  v_runs uuid[];
  v_addressees text[];
begin
  to_launch := '[]';
  perform hold_epoch(p_epoch);

  -- 1. Lanes that changed, lanes whose pause after a failure is over, and lanes behind gates that may have opened.
  with gone as (
    delete from lane_changes where ctid = any (array(select ctid from lane_changes limit 2000)) returning addressee, gate
  )
  select
    array_agg(distinct addressee) filter (where addressee is not null),
    array_agg(distinct gate) filter (where gate is not null),
    count(*)
  into v_changed, v_gates, drained
  from gone;
  v_profile_changed := coalesce('' = any (v_changed), false);
  if v_profile_changed then
    insert into lane_changes (addressee) select addressee from lanes; -- the next claim begins with them
    v_changed := array_remove(v_changed, '');
  end if;
  select v_changed || array_agg(addressee), v_gates || array_agg(distinct gate) filter (where gate is not null)
  into v_changed, v_gates
  from (select addressee, gate from lanes where wake_at <= myzel_now() limit 2000) woken;
  if v_changed is not null then
    perform refresh_lanes(array(select distinct unnest(v_changed)));
  end if;
  if v_gates is not null then
    perform open_gates(v_gates);
  end if;

  -- 2. Free places.
  select case when s.paused or day_is_spent(s.max_daily_cost_usd) then 0
    else least(p_limit, s.max_live_runs - live.count) end
  into v_places
  from engine_state s, (select count(*) from runs where finished_at is null) live;

  select ceil(extract(epoch from least(min(opens_at), myzel_now() + interval '1 day') - myzel_now()) * 1000) into next_look_ms
  from (
    select min(wake_at) as opens_at from lanes
    union all
    select min(blocked_until) from credentials where blocked_until > myzel_now()
    union all
    select min(warned_until) from credentials where keep_reserve and warned_until > myzel_now()
    union all
    select next_utc_day() from engine_state where max_daily_cost_usd is not null
  ) gate;

  if v_places <= 0 or v_profile_changed then
    return next;
    return;
  end if;

  -- 3. Heads to start, oldest first; fairly over the repositories where not all of them can. What a gate shuts out is
  -- parked and others are taken instead, a few times: the next claim does the rest.
  for v_round in 1 .. 4 loop
    select h.heads, h.to_judge into v_heads, v_to_judge from ready_heads(v_places) h;
    exit when v_to_judge is null;
    v_found := cardinality(v_heads);
    select j.may_start, j.parked into v_heads, v_parked from judge_heads(v_heads, v_to_judge) j;
    drained := drained + v_parked;
    exit when v_parked = 0 or v_found < v_places;
  end loop;

  -- 4. Lock them, each as the head its lane said it is; a run for each, on the lowest free slot.
  with head as materialized (
    select t.id, t.addressee, t.created_at, t.repo_url, lane.profile, lane.credential, lane.project, lane.epic, lane.paths
    from unnest(v_heads) h (id)
    cross join lateral (
      select t.id, t.addressee, t.created_at, t.repo_url, t.status from tasks t
      where t.id = h.id
      limit 1
      for update skip locked
    ) t
    cross join lateral (
      select l.profile, l.credential, l.project, l.epic, l.paths from lanes l
      where l.addressee = t.addressee and l.head_task_id = t.id and l.head_created_at = t.created_at
      limit 1
    ) lane
    where t.status = 'pending'
  ), chosen as (
    select
      head.*,
      slot.slot,
      coalesce(last.attempt, 0) + 1 as attempt,
      case
        when last.retry_at is null then 0
        when last.failure_code in ('usage_limit', 'api_overloaded') then last.retries
        else last.retries + 1
      end as retries,
      row_number() over (order by head.created_at, head.id) as place
    from head
    left join lateral (
      select r.attempt, r.retries, r.retry_at, r.failure_code from runs r
      where r.task_id = head.id
      order by r.attempt desc
      limit 1
    ) last on true
    cross join lateral free_slot(head.addressee) slot
  ), inserted as (
    insert into runs (id, task_id, addressee, slot, attempt, retries, epoch, launcher, host, job_name, profile,
      credential, repo_url, project, epic, paths, token_hash)
    select p_run_ids[c.place], c.id, c.addressee, c.slot, c.attempt, c.retries, p_epoch, p_launcher, p_host,
      'task-' || c.id || '-' || c.attempt, c.profile, c.credential, c.repo_url, c.project, c.epic, c.paths,
      p_token_hashes[c.place]
    from chosen c
    returning id, task_id, addressee
  )
  select array_agg(task_id), array_agg(id), array_agg(addressee) into v_tasks, v_runs, v_addressees from inserted;

  -- 5. The tasks run; the next claim makes their lanes anew (the trigger logged them).
  if v_runs is not null then
    update tasks set status = 'running', started_at = myzel_now() where id = any (v_tasks);
    delete from lanes where addressee = any (v_addressees);
    select jsonb_agg(to_jsonb(l) order by l.claimed_at) into to_launch
    from unnest(v_runs) claimed (id)
    cross join lateral (select l.* from run_launches l where l.run_id = claimed.id limit 1) l;
  end if;
  return next;
end $$;

-- The lowest slot that a run of this addressee may take now; no row where it is paused or all are taken. (Inlined.)
create or replace function free_slot(p_addressee text) returns table (slot integer)
  language sql stable as $$
  select s.slot
  from (
    select coalesce(max(a.capacity), 1) as capacity, coalesce(bool_or(a.paused), false) as paused
    from addressees a
    where a.addressee = p_addressee
  ) a
  cross join lateral generate_series(1, a.capacity) s (slot)
  where not a.paused
    and (select count(*) from runs r where r.addressee = p_addressee and r.finished_at is null) < a.capacity
    and not exists (select from runs r where r.addressee = p_addressee and r.slot = s.slot and r.finished_at is null)
  order by s.slot
  limit 1
$$;
