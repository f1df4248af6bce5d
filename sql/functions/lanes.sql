-- The profile that a task runs with: its own, its addressee's, its project's for the role of the one with the longest
-- matching pattern, else that one.
create or replace function resolve_profile(
  p_addressee text, p_task_profile text, p_addressee_profile text,
  p_green_profile text default null, p_red_profile text default null
) returns text
  language sql stable
  return coalesce(
    p_task_profile,
    p_addressee_profile,
    (select coalesce(case p.role when 'green' then p_green_profile when 'red' then p_red_profile end, p.name)
      from profiles p
      where p_addressee like p.addressee_pattern
      order by length(p.addressee_pattern) desc, p.name
      limit 1),
    'red');

-- Brings the lanes of these addressees up to date with tasks, runs, addressees, profiles, projects and gates. Called by
-- dispatch alone, which is the only writer of lanes. Each addressee costs a few index look-ups, whatever its backlog: with
-- the planner's settings of claim_runs().
create or replace function refresh_lanes(p_addressees text[]) returns void
  language plpgsql as $$
declare
  v_before lanes[] := array(
    select own.lane
    from unnest(p_addressees) a (addressee)
    -- each by its key: a condition on ready in here would let an old plan walk all that are ready
    cross join lateral (select l from lanes l where l.addressee = a.addressee limit 1) own (lane)
    where (own.lane).ready and num_nonnulls((own.lane).project, (own.lane).epic, (own.lane).paths) > 0);
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
  insert into lanes as l (addressee, head_task_id, head_created_at, repo_url, role, profile, credential, project, epic,
    paths, ready, gate, wake_at)
  select
    head.addressee,
    head.id,
    head.created_at,
    coalesce(head.repo_url, ''),
    profile.role,
    profile.name,
    coalesce(project.credential, profile.credential),
    project.name,
    o.epic,
    o.paths,
    own.ready and shut.gate is null,
    shut.gate,
    case when last.retry_at > myzel_now() then last.retry_at else shut.opens_at end
  from touched head
  left join lateral (
    select a.capacity, a.paused, a.profile from addressees a where a.addressee = head.addressee limit 1) a on true
  left join lateral (
    select o.profile, o.epic, case when head.repo_url is not null then normal_paths(o.paths) end as paths
    from task_options o
    where o.task_id = head.id
    limit 1
  ) o on true
  left join lateral (
    select p.name, p.green_profile, p.red_profile, p.credential from projects p
    where repository_key(p.repo_url) = repository_key(head.repo_url)
    limit 1
  ) project on true
  cross join lateral (
    select resolve_profile(head.addressee, o.profile, a.profile, project.green_profile, project.red_profile) as profile
    offset 0
  ) resolved
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
  cross join lateral (
    select
      profile.role <> 'human'
      and not coalesce(a.paused, false)
      and live.count < coalesce(a.capacity, 1)
      and not coalesce(last.live, false)
      and coalesce(last.retry_at <= myzel_now(), true) as ready
    offset 0
  ) own
  left join lateral (
    select s.gate, s.opens_at from shut_gate(project.name, o.epic, o.paths, head.repo_url) s
    where own.ready and num_nonnulls(project.name, o.epic, o.paths) > 0
  ) shut on true
  where head.id is not null
  order by head.created_at, head.id -- as they will be claimed: then one batch of claims touches few pages
  on conflict (addressee) do update set
    head_task_id = excluded.head_task_id,
    head_created_at = excluded.head_created_at,
    repo_url = excluded.repo_url,
    role = excluded.role,
    profile = excluded.profile,
    credential = excluded.credential,
    project = excluded.project,
    epic = excluded.epic,
    paths = excluded.paths,
    ready = excluded.ready,
    gate = excluded.gate,
    wake_at = excluded.wake_at
  where (l.head_task_id, l.head_created_at, l.repo_url, l.role, l.profile, l.credential, l.project, l.epic, l.paths,
      l.ready, l.gate, l.wake_at)
    is distinct from (excluded.head_task_id, excluded.head_created_at, excluded.repo_url, excluded.role, excluded.profile,
      excluded.credential, excluded.project, excluded.epic, excluded.paths, excluded.ready, excluded.gate,
      excluded.wake_at);

  -- Those that cannot start after all: behind their gates others may start in their stead.
  if v_before <> '{}' then
    insert into lane_changes (gate)
    select distinct behind.gate
    from unnest(v_before) b
    cross join lateral unnest(gates_of(b.project, b.epic, b.paths, b.repo_url)) behind (gate)
    where not exists (
      select from lanes l
      where l.addressee = b.addressee and l.ready and l.credential = b.credential
        and gates_of(b.project, b.epic, b.paths, b.repo_url) = gates_of(l.project, l.epic, l.paths, l.repo_url));
  end if;
end $$;

-- Looks again at every lane and every addressee with a pending task: heals what an edit with triggers off left
-- behind. Its cost grows with the number of addressees, so it runs seldom, and never in the way of a claim.
-- Returns how many addressees it logged.
create or replace function sweep_lanes() returns bigint
  language sql as $$
  with logged as (
    insert into lane_changes (addressee)
    select addressee from lanes
    union
    select distinct addressee from tasks where status = 'pending'
    returning 1)
  select count(*) from logged;
$$;
