-- What a run left in its outbox, turned into rows. Called by settle_runs() for each successful run whose task is still its
-- own, before that task is completed: exactly once.

-- Creates the tasks that an agent asked for, within what its profile and its epic allow. What is refused is recorded in
-- task_events and told to the creator in its next wake-up.
-- Locks: the epic.
create or replace function create_children(p_parent tasks, p_run_id uuid, p_tasks jsonb) returns void
  language plpgsql
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_nestloop = on set jit = off
as $$
declare
  v_epic epics;
  v_project projects;
  v_depth integer;
  v_child jsonb;
  v_allowed boolean;
  v_problem text;
  v_created integer := 0;
begin
  if coalesce(jsonb_typeof(p_tasks), 'null') <> 'array' or jsonb_array_length(p_tasks) = 0 then
    return;
  end if;
  select p.may_create_tasks into v_allowed
  from runs r join profiles p on p.name = r.profile
  where r.id = p_run_id;
  if not exists (select from task_options o where o.task_id = p_parent.id and o.epic is not null) then
    if not coalesce(v_allowed, false) and not is_green(p_parent.addressee) then
      perform refuse_child(p_parent, null, child, 'The profile of this task may not create tasks.')
      from jsonb_array_elements(p_tasks) child;
      return;
    end if;
    perform ensure_epic(array[p_parent.id]);
    update runs r set epic = p_parent.id where r.id = p_run_id;
  end if;
  select o.depth + 1 into v_depth from task_options o where o.task_id = p_parent.id;
  select e.* into v_epic from epics e
  where e.id = (select o.epic from task_options o where o.task_id = p_parent.id)
  for update;

  for v_child in select value from jsonb_array_elements(p_tasks) with ordinality order by ordinality loop
    v_project := project_of(coalesce(v_child ->> 'repo_url', p_parent.repo_url));
    v_problem := case
      when not coalesce(v_allowed, false)
        -- whoever plans may ask a person
        and not (coalesce(v_child ->> 'kind' = 'question' and v_child ->> 'addressee' = coalesce(v_project.approver, 'blue'),
          false) and is_green(p_parent.addressee))
        then 'The profile of this task may not create tasks.'
      when v_epic.state <> 'active' then format('The epic has ended (%s).', v_epic.end_code)
      when v_created >= v_epic.max_tasks_per_run then
        format('One run may create %s tasks (max_tasks_per_run).', v_epic.max_tasks_per_run)
      when v_epic.tasks + v_created >= v_epic.max_tasks then
        format('The epic may have %s tasks (max_tasks), and it has them.', v_epic.max_tasks)
      when v_depth > v_epic.max_depth then
        format('Work may be handed on %s times (max_depth), and this would be once more.', v_epic.max_depth)
      when v_child ->> 'kind' = 'merge' and coalesce(btrim(v_child ->> 'branch'), '') = '' then
        'A merge task needs "branch": the branch to be merged.'
      when v_child ->> 'kind' = 'merge' and coalesce(v_child ->> 'repo_url', p_parent.repo_url) is null then
        'A merge task needs a repository.'
      when v_child ->> 'kind' = 'merge' and is_green(v_child ->> 'addressee') then format(
        'A merge is work for a Red, and %s plans: leave the addressee out, or name a worker.', v_child ->> 'addressee')
      else coalesce(
        task_problem(coalesce(v_child ->> 'addressee', 'worker'), v_child ->> 'prompt',
          coalesce(v_child ->> 'repo_url', p_parent.repo_url), v_child ->> 'branch'),
        'base_' || branch_problem(v_child ->> 'base_branch'),
        child_place_problem(p_parent.repo_url, v_child, v_project))
      end;
    if v_problem is not null then
      perform refuse_child(p_parent, v_epic.id, v_child, v_problem);
      continue;
    end if;
    v_created := v_created + 1;
    if v_child ->> 'kind' = 'merge'
      and merge_policy(v_project, coalesce(v_child ->> 'repo_url', p_parent.repo_url)) = 'approval'
    then
      perform ask_for_approval(p_parent, v_epic.id, v_depth, v_child, coalesce(v_project.approver, 'blue'));
    else
      perform create_child(p_parent.addressee, p_parent.id, p_parent.repo_url, v_epic.id, v_depth, p_run_id, v_child);
    end if;
  end loop;
  if v_created > 0 then
    update epics set tasks = tasks + v_created, stalls = 0 where id = v_epic.id;
  end if;
end $$;

-- Where an agent's task may not work: a sentence, or null. The engine has logins for more than the creator may know of, and
-- what a creator says may be what it read in a repository: so a person names each repository. The same one under another
-- address is another one here, for its project's rules (who allows a merge) go by the address.
create or replace function child_place_problem(p_repo_url text, p_child jsonb, p_project projects) returns text
  language sql immutable
  return case
    when p_project.name is null and p_child ->> 'repo_url' is not null
      and repository_key(p_child ->> 'repo_url') is distinct from repository_key(p_repo_url)
      then format('The repository %s is neither the one of this task nor that of a project: a person may add it '
        '(myzel project add).', p_child ->> 'repo_url')
    when p_child ->> 'branch' = coalesce(p_project.plan_branch, 'myzel/plan') and p_child ->> 'kind' is distinct from 'merge'
      then format('The branch "%s" holds the plans of epics: name another one.', p_child ->> 'branch')
  end;

-- Inserts one such task. p_run_id: the run that wants to be woken once for all of its tasks that say so.
create or replace function create_child(
  p_creator text, p_parent_id uuid, p_repo_url text, p_epic uuid, p_depth integer, p_run_id uuid, p_child jsonb
) returns void
  language plpgsql as $$
declare
  v_id uuid := gen_random_uuid();
  v_repo_url text := coalesce(p_child ->> 'repo_url', p_repo_url);
  v_merges boolean := coalesce(p_child ->> 'kind' = 'merge', false);
begin
  insert into tasks (id, addressee, prompt, repo_url, branch, created_by, parent_id)
  values (v_id, coalesce(p_child ->> 'addressee', 'worker-' || v_id), p_child ->> 'prompt', v_repo_url,
    -- the target of a merge that is pushed is known to checkout alone
    case when v_merges and merge_policy(project_of(v_repo_url), v_repo_url) <> 'pull_request' then null
      else p_child ->> 'branch' end,
    p_creator, p_parent_id);
  insert into task_options (
    task_id, profile, epic, depth, kind, step, base_branch, paths, group_id, pull_request, merge_branch)
  values (v_id, case when p_child ->> 'kind' = 'question' then approver_profile(p_child ->> 'addressee', v_repo_url) end,
    p_epic, p_depth, left(p_child ->> 'kind', 100), left(p_child ->> 'step', 200), p_child ->> 'base_branch',
    case when jsonb_typeof(p_child -> 'paths') = 'array' then
      array(select jsonb_array_elements_text(p_child -> 'paths') limit 200) end,
    case when p_child ->> 'wake' = 'last' then p_run_id end,
    coalesce((p_child ->> 'pull_request')::boolean, false),
    case when v_merges then p_child ->> 'branch' end);
end $$;

-- A merge that a person must allow: a task for that person, which becomes the merge once it is completed with success.
create or replace function ask_for_approval(
  p_parent tasks, p_epic uuid, p_depth integer, p_child jsonb, p_approver text
) returns void
  language plpgsql as $$
declare
  v_id uuid := gen_random_uuid();
begin
  insert into tasks (id, addressee, prompt, repo_url, created_by, parent_id)
  values (v_id, p_approver, format(
    E'May the branch %s of %s be merged?\n\n%s asks for it:\n\n%s', p_child ->> 'branch',
    coalesce(p_child ->> 'repo_url', p_parent.repo_url), p_parent.addressee, p_child ->> 'prompt'),
    coalesce(p_child ->> 'repo_url', p_parent.repo_url), p_parent.addressee, p_parent.id);
  insert into task_options (task_id, profile, epic, depth, kind, step, on_approval)
  values (v_id, approver_profile(p_approver, coalesce(p_child ->> 'repo_url', p_parent.repo_url)), p_epic, p_depth,
    'approval', left(p_child ->> 'step', 200), p_child);
end $$;

-- A task that changed the branch after a person had allowed this merge of it, by a run that had not ended by then; null:
-- none. What that person said yes to is not what would be merged. (What people push themselves is their own affair.)
create or replace function changed_since_approval(p_merge tasks, p_source text) returns uuid
  language plpgsql stable set search_path = public, pg_temp
  set enable_seqscan = off set jit = off as $$
declare
  v_approved_at timestamptz;
begin
  select max(a.completed_at) into v_approved_at
  from tasks a join task_options o on o.task_id = a.id
  where a.parent_id = p_merge.parent_id and o.kind = 'approval' and o.on_approval ? 'approved'
    and o.on_approval ->> 'branch' = p_source;
  if v_approved_at is null then
    return null; -- nobody was asked
  end if;
  return (
    select r.task_id
    from (
      -- by their indexes: not by walking every run there ever was
      select * from runs where finished_at is null
      union all
      select * from runs where finished_at > v_approved_at
    ) r
    where (r.settled_at is null or r.settled_at > v_approved_at)
      and r.task_id <> p_merge.id and repository_key(r.repo_url) = repository_key(p_merge.repo_url)
      -- announced before it is pushed
      and case when r.announced ->> 'commit_sha' is not null then r.announced ->> 'branch'
        when r.commit_sha is not null then r.branch end = p_source
    limit 1);
end $$;

-- The profile of tasks for the one whom the repository's project asks: a human one, whoever it is, so that no agent ever
-- approves a merge or answers for a person. Null for anybody else, and where the addressee's own profile is human.
create or replace function approver_profile(p_addressee text, p_repo_url text) returns text
  language plpgsql stable as $$
begin
  return (
    select h.name from profiles h
    where h.role = 'human' and p_addressee = coalesce((project_of(p_repo_url)).approver, 'blue')
      and role_of(p_addressee) is distinct from 'human'
    order by h.name = 'human' desc, h.name
    limit 1);
end $$;

-- Records what an agent asked for and did not get, and tells it. p_epic null: of none, where nobody is to be told.
create or replace function refuse_child(p_parent tasks, p_epic uuid, p_child jsonb, p_problem text) returns void
  language plpgsql as $$
begin
  insert into task_events (task_id, event, detail)
  values (p_parent.id, 'child_refused', jsonb_build_object('problem', p_problem));
  insert into epic_notes (epic, addressee, note)
  select p_epic, p_parent.addressee, format('A task that you asked for was refused: %s It began: %s', p_problem,
    left(regexp_replace(coalesce(p_child ->> 'prompt', ''), '\s+', ' ', 'g'), 200))
  where p_epic is not null;
end $$;

-- Green's word that its epic is over. Of a Green that the epic was not filed for it is told to the one it was filed for.
create or replace function finish_epic(p_task tasks, p_finish jsonb) returns void
  language plpgsql
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_nestloop = on set jit = off
as $$
declare
  v_success boolean := coalesce((p_finish ->> 'success')::boolean, false);
  v_summary text := left(coalesce(p_finish ->> 'summary', ''), 20000);
  v_epic epics;
begin
  if coalesce(jsonb_typeof(p_finish), 'null') <> 'object' then
    return;
  end if;
  select e.* into v_epic from epics e
  where e.id = (select o.epic from task_options o where o.task_id = p_task.id) and e.state = 'active';
  if v_epic.id is null or not is_green(p_task.addressee) then
    return;
  elsif v_epic.addressee = p_task.addressee then
    perform end_epic(v_epic.id, case when v_success then 'finished' else 'failed' end,
      case when v_success then 'finished' else 'gave_up' end, v_summary, false);
  else
    insert into epic_notes (epic, addressee, note)
    values (v_epic.id, v_epic.addressee, format('%s says that its part %s: %s', p_task.addressee,
      case when v_success then 'is done' else 'cannot be done' end, left(v_summary, 2000)));
  end if;
end $$;
