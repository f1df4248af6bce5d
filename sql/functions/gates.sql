-- Gates that hold back the heads of many lanes: a project (paused, limit of live runs, cost of a day), an epic (limit of
-- live runs) and a repository's paths. A head behind a shut gate is parked: its lane says which gate, and is looked at
-- again when that may have opened, as many heads as may start then. See docs/decisions/0008-parked-lanes.md.
-- Only dispatch calls these, with the planner's settings of claim_runs(), unless another caller is named.

-- The day that costs are counted by, and when the next one begins.
create or replace function utc_day() returns date
  language sql stable
  return (myzel_now() at time zone 'UTC')::date;

create or replace function next_utc_day() returns timestamptz
  language sql stable
  return (utc_day() + 1)::timestamp at time zone 'UTC';

-- What this project ('': everything) has cost today, in dollars at list price.
create or replace function spent_today(p_project text) returns numeric
  language sql stable
  return coalesce((select d.cost_usd from project_days d where d.project = p_project and d.day = utc_day()), 0);

-- Whether today has cost what a day may cost: then nothing starts until the next one.
create or replace function day_is_spent(p_max_daily_cost_usd numeric) returns boolean
  language sql stable
  return case when p_max_daily_cost_usd is null then false else spent_today('') >= p_max_daily_cost_usd end;

-- Adds what runs have used to today's counts: an array of objects with project (or null), tokens and cost_usd. Called by
-- settle_runs(). Locks: the day's rows, in the order of the projects' names.
create or replace function add_project_spend(p_used jsonb) returns void
  language sql as $$
  insert into project_days as d (project, day, runs, tokens, cost_usd)
  select of.project, utc_day(), count(*), coalesce(sum(u.tokens), 0), coalesce(sum(u.cost_usd), 0)
  from jsonb_to_recordset(p_used) u (project text, tokens bigint, cost_usd numeric)
  cross join lateral (values (''), (u.project)) of (project)
  where of.project is not null
  group by of.project
  order by of.project
  on conflict (project, day) do update set
    runs = d.runs + excluded.runs, tokens = d.tokens + excluded.tokens, cost_usd = d.cost_usd + excluded.cost_usd;
$$;

-- Declared paths in one spelling: without './', '//' and a '/' at the end, '.' for the whole repository; a pattern stands
-- for the directory above it. Null where none are declared.
create or replace function normal_paths(p_paths text[]) returns text[]
  language sql immutable
  return (
    select array_agg(distinct coalesce(nullif(array_to_string(array(
      select part
      from regexp_split_to_table(regexp_replace(path, '(^|/)[^/]*\*.*$', ''), '/') with ordinality parts (part, place)
      where part not in ('', '.')
      order by place), '/'), ''), '.'))
    from unnest(p_paths) path);

-- The first of these paths that is, holds or lies in one of the others; null: none. Both in the spelling of normal_paths.
create or replace function overlapping_path(p_paths text[], p_others text[]) returns text
  language sql immutable
  return (
    select min(path)
    from unnest(p_paths) path
    cross join unnest(p_others) other
    where path = other or '.' in (path, other) or starts_with(path, other || '/') or starts_with(other, path || '/'));

-- The names of the gates that a head or run of this project, epic and paths is behind.
create or replace function gates_of(p_project text, p_epic uuid, p_paths text[], p_repo_url text) returns text[]
  language sql immutable
  return array_remove(array[
    'project ' || p_project,
    'epic ' || p_epic,
    case when p_paths is not null then 'paths ' || repository_key(p_repo_url) end], null);

-- The first gate that lets nothing of this project, epic and paths start now: its name, the reason (a code of
-- why_not_running) and when it opens by the clock alone; nulls where all are open. Heads of the lanes p_also start in the
-- same claim: they count as live. Called by why_not_running() too.
create or replace function shut_gate(
  p_project text, p_epic uuid, p_paths text[], p_repo_url text, p_also text[] default '{}',
  out gate text, out reason text, out opens_at timestamptz
)
  language plpgsql stable as $$
declare
  v_project projects;
  v_most_live integer;
begin
  if p_project is not null then
    select * into v_project from projects p where p.name = p_project;
    gate := 'project ' || p_project;
    if v_project.paused then
      reason := 'project_paused';
      return;
    end if;
    if v_project.max_daily_cost_usd is not null and spent_today(p_project) >= v_project.max_daily_cost_usd then
      reason := 'project_cost';
      opens_at := next_utc_day();
      return;
    end if;
    if v_project.max_live_runs is not null
      and (select count(*) from runs r where r.project = p_project and r.finished_at is null)
        + (select count(*) from lanes l where l.addressee = any (p_also) and l.project = p_project)
        >= v_project.max_live_runs
    then
      reason := 'project_limit';
      return;
    end if;
  end if;
  if p_epic is not null then
    -- an epic that has ended holds nothing: its tasks are cancelled
    select e.max_live_runs into v_most_live from epics e where e.id = p_epic and e.state = 'active';
    if (select count(*) from runs r where r.epic = p_epic and r.finished_at is null)
      + (select count(*) from lanes l where l.addressee = any (p_also) and l.epic = p_epic) >= v_most_live
    then
      gate := 'epic ' || p_epic;
      reason := 'epic_limit';
      return;
    end if;
  end if;
  if p_paths is not null and (
    exists (
      select from runs r
      where repository_key(r.repo_url) = repository_key(p_repo_url) and r.finished_at is null and r.paths is not null
        and overlapping_path(r.paths, p_paths) is not null)
    or exists (
      select from lanes l
      where l.addressee = any (p_also) and l.paths is not null
        and repository_key(l.repo_url) = repository_key(p_repo_url) and overlapping_path(l.paths, p_paths) is not null))
  then
    gate := 'paths ' || repository_key(p_repo_url);
    reason := 'paths';
    return;
  end if;
  gate := null;
end $$;

-- How many more heads this gate may let through now, at most 64.
create or replace function gate_room(p_gate text) returns integer
  language plpgsql stable as $$
declare
  v_kind text := split_part(p_gate, ' ', 1);
  v_name text := substr(p_gate, length(split_part(p_gate, ' ', 1)) + 2);
  v_room bigint;
begin
  if v_kind = 'project' then
    select case
      when p.paused or (p.max_daily_cost_usd is not null and spent_today(p.name) >= p.max_daily_cost_usd) then 0
      when p.max_live_runs is not null then
        p.max_live_runs - (select count(*) from runs r where r.project = p.name and r.finished_at is null)
      end
    into v_room
    from projects p where p.name = v_name;
  elsif v_kind = 'epic' then
    select e.max_live_runs - (select count(*) from runs r where r.epic = e.id and r.finished_at is null) into v_room
    from epics e where e.id = v_name::uuid and e.state = 'active';
  end if;
  return greatest(0, least(coalesce(v_room, 64), 64));
end $$;

-- Looks again at what is parked behind these gates: of each credential (another one may be blocked) the oldest heads, as
-- many as may start, and always one, which learns where the gate opens by the clock now. A gate that was left by a head
-- which cannot start after all, or that may let through more than were looked at, is logged once more: the next claim goes
-- on with it.
create or replace function open_gates(p_gates text[]) returns void
  language plpgsql as $$
declare
  v_gate text;
  v_room integer;
  v_parked text[];
begin
  foreach v_gate in array p_gates loop
    continue when not exists (select from lanes l where l.gate = v_gate);
    v_room := gate_room(v_gate);
    v_parked := array(
      select l.addressee
      from credentials c
      cross join lateral (
        select l.addressee from lanes l
        where l.gate = v_gate and l.credential = c.name
        order by l.head_created_at, l.head_task_id
        limit greatest(v_room, 1)
      ) l);
    perform refresh_lanes(v_parked);
    insert into lane_changes (gate)
    select v_gate
    from (
      select
        count(*) filter (where l.gate is distinct from v_gate) as gone,
        count(*) filter (where l.gate is distinct from v_gate and l.ready is not true) as gone_elsewhere
      from unnest(v_parked) p (addressee)
      left join lanes l on l.addressee = p.addressee
    ) looked
    where looked.gone > 0 and (looked.gone_elsewhere > 0 or cardinality(v_parked) >= 64);
  end loop;
end $$;

-- Which of these heads (with the lanes of those that may be behind a gate, or are Green's) may start together, in their
-- order; and how many it has parked. Left out too: what somebody else has locked, or has no slot any more.
-- A Green's task that is in no epic begins one. Locks: the tasks that it judges, skipping locked ones.
create or replace function judge_heads(
  p_heads uuid[], p_addressees text[], out may_start uuid[], out parked integer
)
  language plpgsql as $$
declare
  v_lane lanes;
  v_gate record;
  v_starting text[] := '{}';
  v_left_out uuid[] := '{}';
  v_planners uuid[] := '{}';
begin
  parked := 0;
  for v_lane in
    select l.* from lanes l
    where l.addressee = any (p_addressees) and l.head_task_id = any (p_heads)
    order by array_position(p_heads, l.head_task_id)
  loop
    perform from tasks t where t.id = v_lane.head_task_id and t.status = 'pending' for update skip locked;
    if not found or not exists (select from free_slot(v_lane.addressee)) then
      v_left_out := v_left_out || v_lane.head_task_id;
      continue;
    end if;
    v_gate := shut_gate(v_lane.project, v_lane.epic, v_lane.paths, v_lane.repo_url, v_starting);
    if v_gate.gate is not null then
      update lanes l set ready = false, gate = v_gate.gate, wake_at = v_gate.opens_at where l.addressee = v_lane.addressee;
      parked := parked + 1;
      v_left_out := v_left_out || v_lane.head_task_id;
      -- another one may start in its stead behind the other gates
      insert into lane_changes (gate)
      select gate from unnest(gates_of(v_lane.project, v_lane.epic, v_lane.paths, v_lane.repo_url)) gate
      where gate <> v_gate.gate;
      continue;
    end if;
    v_starting := v_starting || v_lane.addressee;
    if v_lane.role = 'green' and v_lane.epic is null then
      v_planners := v_planners || v_lane.head_task_id;
    end if;
  end loop;
  if v_planners <> '{}' then
    perform ensure_epic(v_planners);
    update lanes l set epic = o.epic from task_options o
    where l.addressee = any (v_starting) and l.head_task_id = any (v_planners) and o.task_id = l.head_task_id;
  end if;
  may_start := array(
    select head from unnest(p_heads) with ordinality h (head, place) where head <> all (v_left_out) order by place);
end $$;

-- Trigger functions: what opens a gate other than the end of a run.

-- Limits and pauses of a project are looked at by every claim, so only what opens it is told. What decides which heads are
-- its own, or what these start with, asks for a look at every lane. Rare.
create or replace function follow_project() returns trigger
  language plpgsql security definer set search_path = public, pg_temp as $$
begin
  if tg_op = 'UPDATE' and (old.name, repository_key(old.repo_url), old.green_profile, old.red_profile, old.credential)
    is not distinct from (new.name, repository_key(new.repo_url), new.green_profile, new.red_profile, new.credential)
  then
    if (old.paused, old.max_live_runs, old.max_daily_cost_usd)
      is distinct from (new.paused, new.max_live_runs, new.max_daily_cost_usd)
    then
      insert into lane_changes (gate) values ('project ' || new.name);
      perform pg_notify('myzel', '');
    end if;
    return null;
  end if;
  if tg_op = 'UPDATE' and old.name <> new.name then
    update runs set project = new.name where project = old.name and finished_at is null;
    update project_days set project = new.name where project = old.name;
  end if;
  insert into lane_changes (addressee) values ('');
  perform pg_notify('myzel', '');
  return null;
end $$;

create or replace trigger projects_follow after insert or update or delete on projects
  for each row execute function follow_project();

create or replace function follow_epic() returns trigger
  language plpgsql security definer set search_path = public, pg_temp as $$
begin
  insert into lane_changes (gate) values ('epic ' || old.id);
  perform wake_engine();
  return null;
end $$;

create or replace trigger epics_follow after update of max_live_runs, state on epics
  for each row when ((old.max_live_runs, old.state) is distinct from (new.max_live_runs, new.state))
  execute function follow_epic();
create or replace trigger epics_follow_delete after delete on epics
  for each row execute function follow_epic();
