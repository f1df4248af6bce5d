-- Epics: how they begin, what they have used, and how they end.

-- The columns of epics that limit it.
create or replace function epic_limit_names() returns text[]
  language sql immutable
  return array['max_tasks', 'max_tasks_per_run', 'max_depth', 'max_failures_in_a_row', 'max_runs', 'max_live_runs',
    'max_tokens', 'max_cost_usd', 'max_wall_time'];

-- Makes the epic that this task is the beginning of; nothing where there is one. Its limits are those given, else its
-- project's, else the defaults of the table. Raises MZ002 for a limit that is none.
create or replace function begin_epic(p_task tasks, p_title text, p_limits jsonb) returns void
  language plpgsql as $$
declare
  v_project projects := project_of(p_task.repo_url);
  v_unknown text := (select min(key) from jsonb_object_keys(p_limits) key where key <> all (epic_limit_names()));
begin
  if v_unknown is not null then
    raise exception using errcode = 'MZ002', message = format(
      'An epic has no limit "%s"; there are %s.', v_unknown, array_to_string(epic_limit_names(), ', '));
  end if;
  insert into epics (id, project, addressee, title, repo_url, created_by)
  values (p_task.id, v_project.name, p_task.addressee,
    coalesce(nullif(btrim(p_title), ''), left(split_part(btrim(p_task.prompt, E' \n\r\t'), E'\n', 1), 120)),
    p_task.repo_url, p_task.created_by)
  on conflict (id) do nothing;
  if not found then
    return;
  end if;
  update epics e set
    max_tasks = coalesce((p_limits ->> 'max_tasks')::integer, v_project.epic_max_tasks, e.max_tasks),
    max_tasks_per_run =
      coalesce((p_limits ->> 'max_tasks_per_run')::integer, v_project.epic_max_tasks_per_run, e.max_tasks_per_run),
    max_depth = coalesce((p_limits ->> 'max_depth')::integer, v_project.epic_max_depth, e.max_depth),
    max_failures_in_a_row = coalesce((p_limits ->> 'max_failures_in_a_row')::integer,
      v_project.epic_max_failures_in_a_row, e.max_failures_in_a_row),
    max_runs = coalesce((p_limits ->> 'max_runs')::integer, v_project.epic_max_runs, e.max_runs),
    max_live_runs = coalesce((p_limits ->> 'max_live_runs')::integer, v_project.epic_max_live_runs, e.max_live_runs),
    max_tokens = coalesce((p_limits ->> 'max_tokens')::bigint, v_project.epic_max_tokens, e.max_tokens),
    max_cost_usd = coalesce((p_limits ->> 'max_cost_usd')::numeric, v_project.epic_max_cost_usd, e.max_cost_usd),
    max_wall_time = coalesce((p_limits ->> 'max_wall_time')::interval, v_project.epic_max_wall_time, e.max_wall_time)
  where e.id = p_task.id;
exception
  when invalid_text_representation or numeric_value_out_of_range or invalid_datetime_format then
    raise exception using errcode = 'MZ002', message = format(
      'A limit of the epic is not a number (max_wall_time: an interval): %s.', sqlerrm);
end $$;

-- Each of these tasks that is in no epic begins one. Called by the claim for Green's tasks, and before a task that is in
-- none creates others: whatever agents create is inside the limits of an epic.
create or replace function ensure_epic(p_task_ids uuid[]) returns void
  language plpgsql
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_task tasks;
begin
  for v_task in select t.* from tasks t where t.id = any (p_task_ids) order by t.id loop
    insert into task_options as o (task_id, epic) values (v_task.id, v_task.id)
    on conflict (task_id) do update set epic = excluded.epic where o.epic is null;
    if found then
      perform begin_epic(v_task, null, '{}');
    end if;
  end loop;
end $$;

-- Files an epic: a task for a Green addressee, with its epic and limits (keys: epic_limit_names()). The same idempotency
-- key returns the epic that it made the first time.
-- Raises MZ002 (content, limits; an addressee that is no Green). Locks: the key, until the end of the transaction.
create or replace function file_epic(
  addressee text, prompt text, repo_url text default null, title text default null, branch text default null,
  idempotency_key text default null, limits jsonb default '{}'
) returns epics
  language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
  v_task tasks;
  v_epic epics;
begin
  if not is_green(file_epic.addressee) then
    raise exception using errcode = 'MZ002', message = format(
      '"%s" is no Green: an epic is for an addressee like project-mgr-NAME, or one whose profile has role green.',
      file_epic.addressee);
  end if;
  v_task := enqueue(file_epic.addressee, file_epic.prompt, file_epic.repo_url, file_epic.branch,
    created_by => session_user, idempotency_key => file_epic.idempotency_key);
  insert into task_options as o (task_id, epic) values (v_task.id, v_task.id)
  on conflict (task_id) do update set epic = coalesce(o.epic, excluded.epic);
  perform begin_epic(v_task, file_epic.title, coalesce(file_epic.limits, '{}'));
  select * into v_epic from epics e where e.id = v_task.id;
  return v_epic;
end $$;

-- Whether tasks of this addressee are Green's: planned, and woken by the end of what they create.
create or replace function is_green(p_addressee text) returns boolean
  language plpgsql stable as $$
begin
  return coalesce(role_of(p_addressee) = 'green', false);
end $$;

-- The role of this addressee's profile, whatever a task of it may say; null: no profile fits.
create or replace function role_of(p_addressee text) returns text
  language plpgsql stable as $$
begin
  return (
    select p.role from profiles p
    where p.name = resolve_profile(
      p_addressee, null, (select a.profile from addressees a where a.addressee = p_addressee)));
end $$;

-- Ends an active epic: what is pending is cancelled, and what runs is stopped too where p_stop_running; otherwise it ends
-- by itself and wakes nobody. Returns whether it did.
-- Raises MZ006 where somebody else holds one of its open tasks: the caller may hold the epic, and he may wait for that.
-- Locks: the epic's open tasks (waiting for nobody), their live runs, the epic.
create or replace function end_epic(p_id uuid, p_state text, p_code text, p_summary text, p_stop_running boolean)
  returns boolean
  language plpgsql
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_nestloop = on set jit = off
as $$
begin
  perform hold_open_tasks(p_id);
  update epics set state = p_state, end_code = p_code, summary = p_summary, ended_at = myzel_now()
  where id = p_id and state = 'active';
  if not found then
    return false;
  end if;
  update tasks t set status = 'completed', result = jsonb_build_object('success', false, 'code', 'stopped',
    'error', format('Its epic has ended (%s): %s', p_code, left(coalesce(p_summary, ''), 500)))
  where t.id = any (array(select o.task_id from task_options o where o.epic = p_id))
    and (t.status = 'pending' or (p_stop_running and t.status = 'running'));
  return true;
end $$;

-- Locks the open tasks of this epic without ever waiting for a lock: whoever holds one of them has a fifth of a second to
-- be done with it. Raises MZ006, then nothing is written and whoever called may come again.
create or replace function hold_open_tasks(p_epic uuid) returns void
  language plpgsql
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_nestloop = on set jit = off
as $$
declare
  v_held uuid[];
  v_taken uuid;
begin
  for v_try in 0..20 loop
    if v_try > 0 then
      perform pg_sleep(0.01);
    end if;
    v_held := array(
      select t.id from tasks t
      where t.id = any (array(select o.task_id from task_options o where o.epic = p_epic)) and t.status <> 'completed'
      for update skip locked);
    select t.id into v_taken
    from task_options o join tasks t on t.id = o.task_id
    where o.epic = p_epic and t.status <> 'completed' and t.id <> all (v_held)
    limit 1;
    if not found then
      return;
    end if;
  end loop;
  raise exception using errcode = 'MZ006', message = format(
    'Somebody changes task %s in a transaction that is still open, and its epic %s is to end with this: try again.',
    v_taken, p_epic);
end $$;

-- A person runs the first task of an ended epic again: it goes on, and its wall time begins anew, whatever still runs of
-- before. What it has spent stays spent: a limit that is used up is to be raised first.
create or replace function reopen_epic(p_id uuid) returns void
  language sql as $$
  update epics set state = 'active', end_code = null, summary = null, ended_at = null, started_at = myzel_now(),
    stalls = 0
  where id = p_id and state <> 'active';
$$;

-- Stops an epic with everything under it, running runs too; one that has ended stays as it is. Returns the epic.
-- Raises MZ005 when there is none, MZ006 as end_epic(). Locks: the epic's open tasks in the order of their ids (waiting
-- for whoever changes one), then as end_epic().
create or replace function stop_epic(id uuid, reason text default null) returns epics
  language plpgsql security definer set search_path = public, pg_temp as $$
declare
  v_epic epics;
begin
  perform from tasks t
  where t.id = any (array(select o.task_id from task_options o where o.epic = stop_epic.id)) and t.status <> 'completed'
  order by t.id
  for update;
  perform end_epic(stop_epic.id, 'stopped', 'stopped', coalesce(nullif(btrim(reason), ''), 'Stopped by hand.'), true);
  select * into v_epic from epics e where e.id = stop_epic.id;
  if v_epic.id is null then
    raise exception using errcode = 'MZ005', message = format('There is no epic %s.', stop_epic.id);
  end if;
  return v_epic;
end $$;

-- Adds what runs have used to their epics, and ends those that have used up a limit. p_used: an array with an object a
-- run: epic, tokens, cost_usd, started_at, and of Green's runs plan: its branch and commit. Called by settle_runs() after
-- the tasks; an epic that Green has finished stays so.
-- Locks: the epics in the order of their ids, then as end_epic().
create or replace function spend_on_epics(p_used jsonb) returns void
  language plpgsql
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_nestloop = on set jit = off
as $$
declare
  v_used record;
  v_epic epics;
begin
  for v_used in
    select u.epic, count(*) as runs, sum(u.tokens) as tokens, sum(u.cost_usd) as cost_usd, min(u.started_at) as started_at,
      max(u.plan ->> 'branch') as plan_branch,
      (array_agg(u.plan ->> 'commit' order by u.started_at desc) filter (where u.plan ->> 'commit' is not null))[1]
        as plan_commit
    from jsonb_to_recordset(p_used) u (
      epic uuid, tokens bigint, cost_usd numeric, started_at timestamptz, plan jsonb)
    group by u.epic
    order by u.epic
  loop
    update epics e set
      runs = e.runs + v_used.runs,
      tokens = e.tokens + coalesce(v_used.tokens, 0),
      cost_usd = e.cost_usd + coalesce(v_used.cost_usd, 0),
      started_at = coalesce(e.started_at, v_used.started_at),
      plan_branch = coalesce(v_used.plan_branch, e.plan_branch),
      plan_commit = coalesce(v_used.plan_commit, e.plan_commit)
    where e.id = v_used.epic
    returning e.* into v_epic;
    perform end_exhausted_epic(v_epic);
  end loop;
end $$;

-- Ends the epic if it has used up a limit that counts all of it; the sentence says which.
create or replace function end_exhausted_epic(p_epic epics) returns void
  language plpgsql as $$
declare
  v_limit text;
  v_sentence text;
begin
  if p_epic.state is distinct from 'active' then
    return;
  end if;
  select l.name, l.sentence into v_limit, v_sentence
  from (values
    (1, 'max_cost_usd', p_epic.cost_usd >= p_epic.max_cost_usd,
      format('It has cost $%s of $%s at list price.', round(p_epic.cost_usd, 2), round(p_epic.max_cost_usd, 2))),
    (2, 'max_tokens', p_epic.tokens >= p_epic.max_tokens,
      format('It has used %s of %s tokens.', p_epic.tokens, p_epic.max_tokens)),
    (3, 'max_runs', p_epic.runs >= p_epic.max_runs,
      format('It has used all of its %s runs.', p_epic.max_runs)),
    (4, 'max_wall_time', p_epic.started_at + p_epic.max_wall_time <= myzel_now(),
      format('It runs for longer than %s.', say_duration(p_epic.max_wall_time)))
  ) l (place, name, reached, sentence)
  where l.reached
  order by l.place
  limit 1;
  if v_limit is not null then
    perform end_epic(p_epic.id, 'failed', v_limit, v_sentence || ' Its limit ' || v_limit || ' is reached.', true);
  end if;
end $$;

-- Ends the epics whose wall time is over; returns how many. Called by the engine's recurring work. One of which somebody
-- is changing a task in an open transaction is left to the next call. Locks: as end_epic(), the epics in the order of
-- their ids. Raises MZ001.
create or replace function end_overdue_epics(p_epoch bigint) returns integer
  language plpgsql as $$
declare
  v_epic epics;
  v_ended integer := 0;
begin
  perform hold_epoch(p_epoch);
  for v_epic in
    select e.* from epics e
    where e.state = 'active' and e.started_at + e.max_wall_time <= myzel_now()
    order by e.id
  loop
    begin
      -- its tasks before it: as everybody locks them
      perform hold_open_tasks(v_epic.id);
      select e.* into v_epic from epics e where e.id = v_epic.id for update;
      perform end_exhausted_epic(v_epic);
      v_ended := v_ended + 1;
    exception when sqlstate 'MZ006' then
      null;
    end;
  end loop;
  return v_ended;
end $$;

-- What an active epic waits for, in a sentence; null for one that has ended. Reads only.
create or replace function epic_waits_for(p_epic epics) returns text
  language plpgsql stable security definer set search_path = public, pg_temp as $$
declare
  v_running bigint;
begin
  if p_epic.state <> 'active' then
    return null;
  end if;
  select count(*) into v_running
  from task_options o join tasks t on t.id = o.task_id
  where o.epic = p_epic.id and t.status = 'running';
  if v_running > 0 then
    return format('%s of its tasks %s.', v_running, case v_running when 1 then 'runs' else 'run' end);
  end if;
  return coalesce((
    select format('%s for %s: %s', coalesce(o.kind, 'A task'), t.addressee, w.explanation)
    from task_options o
    join tasks t on t.id = o.task_id and t.status = 'pending'
    cross join lateral why_not_running(t.id) w
    where o.epic = p_epic.id
    order by t.created_at, t.id
    limit 1),
    -- a wake-up was deleted
    format('Nothing of it is pending or running: %s', case
      when not engine_is_live() then 'no engine is running that would wake its Green.'
      when not is_green(p_epic.addressee) then 'the engine ends it within five minutes.'
      else format('the engine wakes %s within five minutes.', p_epic.addressee) end));
end $$;
