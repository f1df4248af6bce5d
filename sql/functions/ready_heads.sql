-- Which heads of ready lanes a claim looks at, and in which order. Called by claim_runs(), with its planner's settings.

drop function if exists oldest_ready_heads(integer);
drop function if exists fair_ready_heads(integer);

-- The heads for so many places, in the order in which they have a right to them, and the lanes of those among them that
-- judge_heads() has to see (null: none).
create or replace function ready_heads(p_places integer, out heads uuid[], out to_judge text[])
  language plpgsql stable as $$
begin
  select h.heads, h.to_judge into heads, to_judge from oldest_ready_heads(p_places + 1) h;
  if cardinality(heads) <= p_places then
    return;
  elsif several_repositories_wait() then
    select h.heads, h.to_judge into heads, to_judge from fair_ready_heads(p_places) h;
  else
    heads := heads[:p_places];
  end if;
end $$;

-- How many more runs may start with each credential; those with which none may are left out.
create or replace view open_credentials as
  select
    c.name,
    c.max_live_runs
      - (select count(*) from runs r where r.credential = c.name and r.finished_at is null and c.max_live_runs is not null)
      as room -- null: as many as there are places
  from credentials c
  where c.problem is null
    and coalesce(c.blocked_until <= myzel_now(), true)
    and not (c.keep_reserve and coalesce(c.warned_until > myzel_now(), false));

-- Whether a gate may hold back the head of this lane, or it may begin an epic. (Inlined.)
create or replace function is_to_judge(l lanes) returns boolean
  language sql immutable
  return l.role = 'green' or l.project is not null or l.epic is not null or l.paths is not null;

-- Heads of ready lanes behind open credentials, oldest first, as ready_heads() returns them.
create or replace function oldest_ready_heads(p_limit integer, out heads uuid[], out to_judge text[])
  language plpgsql stable as $$
begin
  select
    array_agg(head.head_task_id order by head.head_created_at, head.head_task_id),
    array_agg(head.addressee) filter (where head.to_judge)
  into heads, to_judge
  from (
    select l.head_task_id, l.head_created_at, l.addressee, l.to_judge
    from open_credentials c
    cross join lateral (
      select l.head_task_id, l.head_created_at, l.addressee, is_to_judge(l) as to_judge from lanes l
      where l.credential = c.name and l.ready
      order by l.head_created_at, l.head_task_id
      limit least(p_limit, c.room)
    ) l
    where c.room is null or c.room > 0
    order by l.head_created_at, l.head_task_id
    limit p_limit
  ) head;
end $$;

-- Whether heads of more than one repository are ready: what fairness is about. Two look-ups a credential.
create or replace function several_repositories_wait() returns boolean
  language plpgsql stable as $$
begin
  return (
    select
      min((select l.repo_url from lanes l where l.credential = c.name and l.ready order by l.repo_url limit 1))
      < max((select l.repo_url from lanes l where l.credential = c.name and l.ready order by l.repo_url desc limit 1))
    from open_credentials c
    where c.room is null or c.room > 0);
end $$;

-- The same while the global limit binds: places go round over the repositories, the one with the fewest live runs
-- first, oldest head first within each. Walks the distinct repositories of ready lanes, not the lanes.
create or replace function fair_ready_heads(p_limit integer, out heads uuid[], out to_judge text[])
  language sql stable as $$
  with recursive open as materialized (
    select name, room from open_credentials where room is null or room > 0
  ), repo (credential, room, repo_url) as (
    select c.name, c.room, (select min(l.repo_url) from lanes l where l.credential = c.name and l.ready)
    from open c
    union all
    select repo.credential, repo.room,
      (select min(l.repo_url) from lanes l
        where l.credential = repo.credential and l.ready and l.repo_url > repo.repo_url)
    from repo
    where repo.repo_url is not null
  ), live as (
    select coalesce(repo_url, '') as repo_url, count(*) from runs where finished_at is null group by 1
  ), head as (
    select l.head_task_id, l.head_created_at, l.addressee, l.to_judge, repo.credential, repo.room,
      coalesce(live.count, 0) + row_number() over (
        partition by repo.repo_url order by l.head_created_at, l.head_task_id) as turn
    from repo
    left join live on live.repo_url = repo.repo_url
    cross join lateral (
      select l.head_task_id, l.head_created_at, l.addressee, is_to_judge(l) as to_judge from lanes l
      where l.credential = repo.credential and l.repo_url = repo.repo_url and l.ready
      order by l.head_created_at, l.head_task_id
      limit least(p_limit, repo.room)
    ) l
    where repo.repo_url is not null
  ), within_room as (
    select head.*,
      row_number() over (partition by credential order by turn, head_created_at, head_task_id) as of_credential
    from head
  )
  select
    array_agg(chosen.head_task_id order by turn, head_created_at, head_task_id),
    array_agg(chosen.addressee) filter (where chosen.to_judge)
  from (
    select * from within_room
    where of_credential <= room or room is null
    order by turn, head_created_at, head_task_id
    limit p_limit
  ) chosen;
$$;
