-- What follows for its epic when a task has ended: its Green is woken with the result, a person's yes becomes a merge, a
-- step that fails too often ends the epic, and an epic in which nothing is left to run is not forgotten.

-- Results longer than this are told by their beginning, and lie whole in a file beside the repository.
create or replace function wake_up_excerpt_bytes() returns integer language sql immutable return 2000;
-- The same for the goal of the epic.
create or replace function wake_up_goal_bytes() returns integer language sql immutable return 8000;

-- Called by follow_task_updates() for tasks that were completed, by settling or by hand, and that are part of an epic or
-- were created by a Green. Locks: their epics in the order of their ids, then pending wake-ups (skipping locked ones).
create or replace function follow_ended_tasks(p_task_ids uuid[]) returns void
  language plpgsql
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_nestloop = on set jit = off
as $$
declare
  v_task tasks;
  v_options task_options;
  v_epic epics;
  v_success boolean;
  v_open_epics uuid[] := '{}';
begin
  perform from epics e
  where e.id = any (array(select o.epic from task_options o where o.task_id = any (p_task_ids)))
  order by e.id
  for update;
  for v_task in select t.* from tasks t where t.id = any (p_task_ids) order by t.completed_at, t.id loop
    v_options := null;
    v_epic := null;
    select o.* into v_options from task_options o where o.task_id = v_task.id;
    if v_options.epic is not null then
      select e.* into v_epic from epics e where e.id = v_options.epic for update;
      continue when v_epic.state is distinct from 'active'; -- nobody is woken for what has ended
      v_open_epics := v_open_epics || v_epic.id;
    end if;
    v_success := coalesce(v_task.result ->> 'success' = 'true', false);
    if v_options.kind = 'approval' and v_success and v_options.on_approval is not null
      and not v_options.on_approval ? 'approved'
    then
      update task_options o set on_approval = o.on_approval || '{"approved": true}' where o.task_id = v_task.id;
      perform create_child(v_task.created_by, v_task.parent_id, v_task.repo_url, v_epic.id, v_options.depth, null,
        v_options.on_approval);
    elsif not v_success and fails_too_often(v_epic, v_options, v_task) then
      continue;
    elsif is_green(v_task.created_by) then
      -- one of several that Green wants to hear of together: when it has failed, or is the last
      continue when v_success and v_options.group_id is not null and exists (
        select from task_options o join tasks t on t.id = o.task_id
        where o.group_id = v_options.group_id and t.status <> 'completed');
      perform wake_green(v_epic.id, v_task.created_by, greatest(v_options.depth - 1, 0), v_task.parent_id,
        array[v_task.id] || array(
          select t.id from task_options o join tasks t on t.id = o.task_id
          where o.group_id = v_options.group_id and t.status = 'completed' and t.id <> v_task.id and not exists (
            select from wake_up_results w where w.task_id = t.id and w.at >= t.completed_at)));
    end if;
  end loop;
  perform follow_idle_epic(e.id) from epics e where e.id = any (v_open_epics) and e.state = 'active' order by e.id;
end $$;

-- An open task was deleted: whoever created it hears of it, and of what was kept back to be told together with its end;
-- the epic that began with it ends. Its options are gone already: its epic is that of the task that created it, or of its
-- own newest run.
create or replace function follow_deleted_task(p_task tasks) returns void
  language plpgsql
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_nestloop = on set jit = off
as $$
declare
  v_epic epics;
  v_depth integer;
begin
  perform end_epic(p_task.id, 'stopped', 'stopped', 'Its first task was deleted.', true);
  select e.* into v_epic from epics e
  where e.state = 'active' and e.id = coalesce(
    (select o.epic from task_options o where o.task_id = p_task.parent_id),
    (select r.epic from runs r where r.task_id = p_task.id order by r.attempt desc limit 1))
  for update;
  if v_epic.id is null or not is_green(p_task.created_by) then
    return;
  end if;
  select o.depth into v_depth from task_options o where o.task_id = p_task.parent_id;
  insert into epic_notes (epic, addressee, note)
  values (v_epic.id, p_task.created_by, format('A task that you created was deleted by hand (%s for %s). It began: %s',
    p_task.id, p_task.addressee, left(regexp_replace(p_task.prompt, '\s+', ' ', 'g'), 200)));
  perform wake_green(v_epic.id, p_task.created_by, coalesce(v_depth, 0), p_task.parent_id, array(
    select t.id from tasks t join task_options o on o.task_id = t.id
    where t.parent_id = p_task.parent_id and t.status = 'completed' and o.group_id is not null
      and not exists (
        select from task_options other join tasks open on open.id = other.task_id
        where other.group_id = o.group_id and open.status <> 'completed')
      and not exists (select from wake_up_results w where w.task_id = t.id and w.at >= t.completed_at)));
end $$;

-- A wake-up is deleted before it has ended: what it was to tell is told by the next one of its epic and Green. Until then
-- each result is kept as if its own task told it. Of no epic, or of one that has ended, it goes with the wake-up.
create or replace function keep_untold() returns trigger
  language plpgsql security definer set search_path = public, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_nestloop = on set jit = off
as $$
declare
  v_epic uuid;
begin
  select e.id into v_epic
  from task_options o
  join epics e on e.id = o.epic and e.state = 'active'
  where o.task_id = old.id and o.kind = 'wake_up';
  if v_epic is not null then
    insert into wake_up_results as w (wake_up_id, task_id, at, result)
    select told.task_id, told.task_id, told.at, told.result
    from wake_up_results told
    join task_options o on o.task_id = told.task_id and o.epic = v_epic
    join tasks t on t.id = told.task_id
    where told.wake_up_id = old.id
    on conflict (wake_up_id, task_id) do update set result = excluded.result, at = excluded.at;
    update epic_notes set wake_up_id = null where wake_up_id = old.id and epic = v_epic;
  end if;
  return old;
end $$;

create or replace trigger tasks_keep_untold
  before delete on tasks
  for each row when (old.created_by = 'engine' and old.status <> 'completed')
  execute function keep_untold();

-- The options of a task that was deleted (or they alone were): perhaps nothing of its epic is left to run. At the end of
-- the transaction, when whoever created it has been woken. A wake-up that is deleted is found by wake_idle_epics(): who
-- deletes it does not want that Green at once.
create or replace function follow_deleted_options() returns trigger
  language plpgsql security definer set search_path = public, pg_temp as $$
begin
  perform from epics e where e.id = old.epic and e.state = 'active' for update;
  if found then
    perform follow_idle_epic(old.epic);
  end if;
  return null;
end $$;

-- (Such a trigger cannot be replaced.)
do $$
begin
  if not exists (
    select from pg_trigger where tgrelid = 'task_options'::regclass and tgname = 'task_options_follow_delete')
  then
    create constraint trigger task_options_follow_delete after delete on task_options
      deferrable initially deferred
      for each row when (old.epic is not null and old.kind is distinct from 'wake_up')
      execute function follow_deleted_options();
  end if;
end $$;

-- Ends the epic when this failure is one too many in a row of its step; returns whether it did.
create or replace function fails_too_often(p_epic epics, p_options task_options, p_task tasks) returns boolean
  language plpgsql as $$
declare
  v_failures bigint;
begin
  if p_epic.id is null or p_task.id = p_epic.id or p_task.result ->> 'code' = 'stopped'
    or p_options.kind in ('approval', 'question', 'wake_up')
  then
    return false;
  end if;
  select count(*) into v_failures
  from (
    select t.completed_at, coalesce(t.result ->> 'success' = 'true', false) as success, t.result ->> 'code' as code,
      max(t.completed_at) filter (where t.result ->> 'success' = 'true') over () as last_success
    from task_options o
    join tasks t on t.id = o.task_id
    where o.epic = p_epic.id and o.step is not distinct from p_options.step
      and coalesce(o.kind, '') not in ('approval', 'question', 'wake_up') and o.task_id <> p_epic.id
      and t.status = 'completed'
  ) ended
  where not success and code is distinct from 'stopped' and completed_at > coalesce(last_success, '-infinity');
  if v_failures < p_epic.max_failures_in_a_row then
    return false;
  end if;
  return end_epic(p_epic.id, 'failed', 'max_failures_in_a_row', format(
    '%s %s tasks in a row have failed, the last with %s: %s Its limit max_failures_in_a_row is reached.',
    coalesce('Of step "' || p_options.step || '"', 'Of it'), v_failures, coalesce(p_task.result ->> 'code', 'no code'),
    left(coalesce(p_task.result ->> 'error', ''), 500)), true);
end $$;

-- An active epic of which nothing is pending or running any more: its Green is woken once more and told so, as often as
-- a step may fail; then the epic ends. An epic of a Red, whose agents may create tasks, is finished; one whose first task
-- is gone, and its goal with it, is stopped.
create or replace function follow_idle_epic(p_id uuid) returns void
  language plpgsql
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_nestloop = on set jit = off
as $$
declare
  v_epic epics;
  v_last tasks; -- of its Green
begin
  if exists (
    select from task_options o join tasks t on t.id = o.task_id where o.epic = p_id and t.status <> 'completed'
  ) then
    return;
  end if;
  update epics e set stalls = e.stalls + 1 where e.id = p_id and e.state = 'active' returning e.* into v_epic;
  select t.* into v_last
  from task_options o join tasks t on t.id = o.task_id
  where o.epic = p_id and t.addressee = v_epic.addressee
  order by t.completed_at desc, t.id desc
  limit 1;
  case
    when v_epic.id is null then
      return;
    when not exists (select from tasks t where t.id = p_id) then
      perform end_epic(p_id, 'stopped', 'stopped',
        'Its first task, which says its goal, was deleted, and nothing of it is pending or running.', false);
    when not is_green(v_epic.addressee) then
      perform end_epic(p_id, 'finished', 'finished', 'All of its tasks have ended.', false);
    when v_last.result ->> 'code' = 'stopped' then
      perform end_epic(p_id, 'stopped', 'stopped', 'The task of its Green was stopped by hand.', false);
    when not v_last.result ? 'attempt' then -- as only a run's result has
      perform end_epic(p_id,
        case when v_last.result ->> 'success' = 'true' then 'finished' else 'failed' end,
        case when v_last.result ->> 'success' = 'true' then 'finished' else 'gave_up' end,
        'The task of its Green was completed by hand.', false);
    when v_epic.stalls > 1 and v_epic.tasks >= v_epic.max_tasks then
      perform end_epic(p_id, 'failed', 'max_tasks', format(
        'It has used all of its %s tasks and is not finished. Its limit max_tasks is reached.', v_epic.max_tasks), false);
    when v_epic.stalls > v_epic.max_failures_in_a_row then
      perform end_epic(p_id, 'failed', 'stalled', format(
        'Its Green was woken %s times in a row and neither created a task nor finished it. The last run %s', v_epic.stalls - 1,
        case when v_last.result ->> 'success' = 'true' then 'succeeded.'
          else format('failed with %s: %s', v_last.result ->> 'code', left(v_last.result ->> 'error', 500)) end), false);
    else
      insert into epic_notes (epic, addressee, note)
      values (p_id, v_epic.addressee, case
        when v_last.id is null then 'Nothing of the epic is pending or running. Create the next task, or call finish_epic.'
        when v_last.result ->> 'success' = 'true'
        then 'Your last run has ended, and nothing of the epic is pending or running. Create the next task, or call finish_epic.'
        else format('Your last run failed (%s): %s Nothing of the epic is pending or running. Go on where it was, or call finish_epic.',
          v_last.result ->> 'code', left(v_last.result ->> 'error', 500)) end);
      -- with what deleted wake-ups were to tell, also of another Green, which nobody may ever wake again
      perform wake_green(p_id, v_epic.addressee, 0, p_id,
        array(
          select o.task_id from task_options o
          join wake_up_results w on w.wake_up_id = o.task_id and w.task_id = o.task_id
          where o.epic = p_id));
  end case;
end $$;

-- Looks for active epics of which nothing is left to run and that nobody was woken for (a wake-up was deleted, triggers
-- were off): heals them. Returns how many it looked at. Called by the engine's recurring work.
create or replace function wake_idle_epics(p_epoch bigint) returns integer
  language plpgsql as $$
declare
  v_id uuid;
  v_looked integer := 0;
begin
  perform hold_epoch(p_epoch);
  for v_id in select e.id from epics e where e.state = 'active' order by e.id loop
    perform from epics e where e.id = v_id for update;
    perform follow_idle_epic(v_id);
    v_looked := v_looked + 1;
  end loop;
  return v_looked;
end $$;

-- Wakes a Green with these results and with what else is to be told to it: a task for it, or its pending wake-up of the
-- same epic, which the results join; and what a deleted one was to tell (keep_untold()). p_task_id: a task of that Green,
-- for the repository and the profile. One that somebody has locked is not joined: it is being claimed or edited, and he
-- may wait for the epic that we hold.
-- Locks: wake-ups of this epic and addressee, until the end of the transaction; the pending one (skipping a locked one).
create or replace function wake_green(
  p_epic uuid, p_addressee text, p_depth integer, p_task_id uuid, p_results uuid[]
) returns void
  language plpgsql as $$
declare
  v_id uuid;
  v_new boolean;
begin
  perform pg_advisory_xact_lock(hashtextextended(format('myzel wake-up %s %s', p_epic, p_addressee), 0));
  if p_epic is null then
    select t.id into v_id from tasks t
    join task_options o on o.task_id = t.id and o.kind = 'wake_up' and o.epic is null
    where t.addressee = p_addressee and t.status = 'pending'
      and not exists (select from runs r where r.task_id = t.id and r.success is null)
    order by t.created_at desc limit 1
    for update of t skip locked;
  else
    select t.id into v_id from task_options o
    join tasks t on t.id = o.task_id and t.addressee = p_addressee and t.status = 'pending'
    where o.epic = p_epic and o.kind = 'wake_up'
      and not exists (select from runs r where r.task_id = t.id and r.success is null)
    order by t.created_at desc limit 1
    for update of t skip locked;
  end if;
  v_new := v_id is null;
  v_id := coalesce(v_id, gen_random_uuid());

  insert into wake_up_results as w (wake_up_id, task_id, result)
  select v_id, t.id, t.result from tasks t where t.id = any (p_results)
  on conflict (wake_up_id, task_id) do update set result = excluded.result, at = excluded.at;
  with kept as (
    delete from wake_up_results w
    using task_options o, tasks t
    where o.epic = p_epic and t.id = o.task_id and (t.created_by = p_addressee or t.id = any (p_results))
      and w.wake_up_id = t.id and w.task_id = t.id
    returning w.task_id, w.at, w.result
  )
  insert into wake_up_results (wake_up_id, task_id, at, result)
  select v_id, kept.task_id, kept.at, kept.result from kept
  -- what was run again since is told when it ends
  where not exists (
    select from tasks t where t.id = kept.task_id and (t.status <> 'completed' or t.completed_at > kept.at))
  on conflict (wake_up_id, task_id) do nothing;
  update epic_notes set wake_up_id = v_id where epic = p_epic and addressee = p_addressee and wake_up_id is null;

  if not v_new then
    update tasks set prompt = wake_up_prompt(v_id, p_epic, p_addressee) where id = v_id;
    return;
  end if;
  insert into tasks (id, addressee, prompt, repo_url, branch, created_by)
  select v_id, p_addressee, wake_up_prompt(v_id, p_epic, p_addressee), t.repo_url, t.branch, 'engine'
  from (values (true)) one
  left join tasks t on t.id = p_task_id;
  insert into task_options (task_id, epic, depth, kind, profile, model, effort, base_branch)
  select v_id, p_epic, p_depth, 'wake_up', o.profile, o.model, o.effort, o.base_branch
  from (values (true)) one
  left join task_options o on o.task_id = p_task_id;
end $$;

-- Words that are not the engine's, marked as the agents' rules say, with marks that they cannot close. Null for null.
create or replace function as_data(p_from text, p_text text) returns text
  language sql immutable
  return case when p_text is not null then format(E'<data from="%s">\n%s\n</data>', p_from,
    regexp_replace(p_text, '<(/?data)', '&lt;\1', 'gi')) end;

-- One result as Green reads it.
create or replace function wake_up_line(p_place bigint, p_result wake_up_results, p_task tasks, p_options task_options)
  returns text
  language sql stable
  return format('%s. Task %s (%s) %s.%s', p_place, p_result.task_id,
    concat_ws(', ', coalesce(p_options.kind, 'task'), 'step "' || p_options.step || '"', p_task.addressee,
      'branch ' || coalesce(p_result.result ->> 'branch', p_task.branch)),
    case when p_result.result ->> 'success' = 'true' then concat_ws(', ', 'has succeeded',
      'commit ' || (p_result.result ->> 'commit_sha'), 'pull request ' || (p_result.result ->> 'pull_request_url'),
      case when jsonb_typeof(p_result.result -> 'files_changed') = 'array' then
        case when jsonb_array_length(p_result.result -> 'files_changed') > 0 then format('changed: %s', (
          select string_agg(file.name, ', ') from (
            select jsonb_array_elements_text(p_result.result -> 'files_changed') as name limit 20) file)) end end)
      else 'has failed with ' || coalesce(p_result.result ->> 'code', 'no code') end,
    case when octet_length(p_result.result::text) > wake_up_excerpt_bytes()
      then format(' The whole result lies in ../results/%s.json; it begins:', p_result.task_id) else '' end
    || coalesce(E'\n' || as_data('the result of task ' || p_result.task_id, left(nullif(concat_ws(E'\n',
      p_result.result ->> 'error',
      coalesce(nullif(p_result.result ->> 'summary', ''), p_result.result ->> 'logs')), ''), wake_up_excerpt_bytes())), ''));

-- What a wake-up says: what has ended, what the engine has to say, the goal, what was spent. Agents' own words stand
-- between marks, for they are data; the goal comes last and is none.
create or replace function wake_up_prompt(p_id uuid, p_epic uuid, p_addressee text) returns text
  language sql stable
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_nestloop = on
as $$
  select concat_ws(E'\n\n',
    case when e.id is null then 'You are woken: what you created has ended.'
      else format('You are woken for the epic "%s" (%s).', e.title, e.id) end,
    (select E'What has ended since your last run:\n\n'
        || string_agg(told.text, E'\n\n' order by told.place) filter (where told.place <= 100)
        || case when max(told.place) > 100 then format(E'\n\nand %s more.', max(told.place) - 100) else '' end
      from (
        select row_number() over (order by w.at, w.task_id) as place,
          wake_up_line(row_number() over (order by w.at, w.task_id), w, t, o) as text
        from wake_up_results w
        left join tasks t on t.id = w.task_id
        left join task_options o on o.task_id = w.task_id
        where w.wake_up_id = p_id
      ) told),
    (select E'From the engine:\n\n' || string_agg('- ' || n.note, E'\n' order by n.id)
      from (select n.* from epic_notes n where n.wake_up_id = p_id order by n.id desc limit 50) n),
    (select E'Of the epic still pending or running: ' || string_agg(
        format('%s (%s, %s)', t.id, coalesce(o.kind, 'task'), t.status), '; ' order by t.created_at) || '.'
      from task_options o join tasks t on t.id = o.task_id
      where o.epic = p_epic and t.status <> 'completed' and t.id <> p_id
      having count(*) between 1 and 50),
    case when e.id is not null then format('Used so far: %s of %s tasks, %s of %s runs, %s tokens%s, $%s at list price%s.',
      e.tasks, e.max_tasks, e.runs, e.max_runs, e.tokens, coalesce(' of ' || e.max_tokens, ''), round(e.cost_usd, 2),
      coalesce(' of $' || round(e.max_cost_usd, 2), '')) end,
    (select E'The goal, as it was filed:\n\n' || case
        when octet_length(t.prompt) <= wake_up_goal_bytes() then t.prompt
        else left(t.prompt, wake_up_goal_bytes() / 4) || E'\n… (the whole: ../results/goal.md)' end
      from tasks t where t.id = p_epic))
  from (values (true)) one
  left join epics e on e.id = p_epic;
$$;

-- What is too long for the prompt of a wake-up, as files for the workspace: name and content.
create or replace function wake_up_files(p_wake_up_id uuid) returns jsonb
  language sql stable
  return (
    select coalesce(jsonb_agg(jsonb_build_object('name', file.name, 'content', file.content)), '[]')
    from (
      select w.task_id || '.json' as name, jsonb_pretty(w.result) as content
      from wake_up_results w
      where w.wake_up_id = p_wake_up_id and w.task_id <> w.wake_up_id and octet_length(w.result::text) > wake_up_excerpt_bytes()
      union all
      select 'goal.md', goal.prompt
      from task_options o join tasks goal on goal.id = o.epic
      where o.task_id = p_wake_up_id and o.kind = 'wake_up' and octet_length(goal.prompt) > wake_up_goal_bytes()
    ) file);
