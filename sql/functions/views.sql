-- Views for people.

-- What waits, in the order in which it would start; place counts within the addressee.
create or replace view queue as
  select
    t.id, t.addressee,
    row_number() over (partition by t.addressee order by t.created_at, t.id) as place,
    left(split_part(t.prompt, E'\n', 1), 80) as prompt,
    t.repo_url, t.branch, t.created_by, t.created_at
  from tasks t
  where t.status = 'pending'
  order by t.created_at, t.id;

-- What runs; a run being stopped holds its slot until it is really gone.
create or replace view running as
  select
    t.id, r.addressee, r.slot, r.attempt, r.id as run_id,
    left(split_part(t.prompt, E'\n', 1), 80) as prompt,
    t.repo_url, t.branch, r.pod_name, r.started_at, r.launched_at,
    r.stop_requested_at is not null as stopping
  from runs r
  left join tasks t on t.id = r.task_id
  where r.finished_at is null
  order by r.started_at;

-- Tasks that ended without success, newest first.
create or replace view failures as
  select
    t.id, t.addressee, t.result ->> 'code' as code, t.result ->> 'error' as error,
    left(split_part(t.prompt, E'\n', 1), 80) as prompt,
    t.repo_url, t.branch, t.completed_at
  from tasks t
  where t.status = 'completed' and t.result ->> 'success' is distinct from 'true'
  order by t.completed_at desc;

-- What runs used a day, credential and model; cost at list price, also on a subscription.
create or replace view spend as
  select
    date_trunc('day', r.finished_at) as day, r.credential, r.model,
    count(*) as runs,
    sum(r.cost_usd) as cost_usd,
    sum(r.input_tokens) as input_tokens,
    sum(r.output_tokens) as output_tokens,
    sum(r.cache_read_tokens) as cache_read_tokens,
    sum(r.cache_creation_tokens) as cache_creation_tokens,
    sum(r.turns) as turns
  from runs r
  where r.finished_at is not null
  group by 1, 2, 3
  order by 1 desc, 2, 3;

-- What waits for a person, oldest first.
create or replace view inbox as
  select t.id, o.kind, t.addressee, t.prompt, o.epic, t.created_by, t.repo_url, t.created_at
  from tasks t
  left join task_options o on o.task_id = t.id
  left join addressees a on a.addressee = t.addressee
  join profiles p on p.name = resolve_profile(t.addressee, o.profile, a.profile)
  where t.status = 'pending' and p.role = 'human'
  order by t.created_at, t.id;

-- The tasks of each epic, in the order in which they were created.
create or replace view epic_tasks as
  select
    o.epic, t.id, t.parent_id, o.depth, o.kind, o.step, t.addressee, t.status,
    coalesce(t.result ->> 'branch', t.branch) as branch,
    left(split_part(t.prompt, E'\n', 1), 80) as prompt,
    t.created_by, t.created_at, t.started_at, t.completed_at,
    case when t.status = 'completed' then coalesce(t.result ->> 'success' = 'true', false) end as success,
    t.result ->> 'code' as code,
    run.cost_usd, run.runs
  from task_options o
  join tasks t on t.id = o.task_id
  cross join lateral (
    select coalesce(sum(r.cost_usd), 0) as cost_usd, count(*) as runs from runs r where r.task_id = t.id) run
  where o.epic is not null
  order by t.created_at, t.id;

-- Each epic with its tasks counted, and what an active one waits for.
create or replace view epic_overview as
  select
    e.*, tasks_of.pending, tasks_of.running, tasks_of.completed, tasks_of.failed,
    epic_waits_for(e) as waits_for
  from epics e
  cross join lateral (
    select
      count(*) filter (where t.status = 'pending') as pending,
      count(*) filter (where t.status = 'running') as running,
      count(*) filter (where t.status = 'completed') as completed,
      count(*) filter (where t.status = 'completed' and t.result ->> 'success' is distinct from 'true') as failed
    from task_options o
    join tasks t on t.id = o.task_id
    where o.epic = e.id) tasks_of;
