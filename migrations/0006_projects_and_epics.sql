-- Projects (what is known of a repository), epics (a task for a Green addressee and all that grows out of it), and what
-- wakes Green.
set local lock_timeout = '5s';

-- Two addresses of one repository have one key: a task belongs to the project whose key is that of its repo_url.
create function repository_key(p_repo_url text) returns text
  language sql immutable parallel safe
  return regexp_replace(rtrim(p_repo_url, '/'), '\.git$', '');

create table projects (
  name                       text primary key,
  repo_url                   text not null,
  -- null: the remote's own
  default_branch             text,
  plan_branch                text not null default 'myzel/plan',
  -- both run by /bin/sh in the work tree of a Red, without any credential: before the agent, and at its end
  setup_command              text,
  check_command              text,
  -- null: pull_request where the host is known to have them, else approval
  merge_policy               text,
  -- which API the host speaks, and where; null: by the host's name
  host_api                   text,
  host_api_url               text,
  -- the addressee of questions and approvals
  approver                   text not null default 'blue',
  green_profile              text references profiles,
  red_profile                text references profiles,
  -- instead of the profile's
  credential                 text references credentials,
  max_live_runs              integer,
  -- at list price; what starts nothing more until the day (UTC) is over
  max_daily_cost_usd         numeric(12, 6),
  paused                     boolean not null default false,
  -- of the epics filed from now on; null: as the column of epics says
  epic_max_tasks             integer,
  epic_max_tasks_per_run     integer,
  epic_max_depth             integer,
  epic_max_failures_in_a_row integer,
  epic_max_runs              integer,
  epic_max_live_runs         integer,
  epic_max_tokens            bigint,
  epic_max_cost_usd          numeric(12, 6),
  epic_max_wall_time         interval,
  created_at                 timestamptz not null default myzel_now(),
  constraint projects_name_is_a_word check (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
  constraint projects_merge_policy_known check (merge_policy in ('pull_request', 'approval', 'auto')),
  constraint projects_host_api_known check (host_api in ('github', 'gitlab')),
  constraint projects_host_api_url_is_a_url check (host_api_url ~ '^https?://[^@[:space:]]+$'),
  constraint projects_approver_not_blank check (approver ~ '\S'),
  constraint projects_limits_positive check (
    max_live_runs >= 0 and max_daily_cost_usd > 0 and epic_max_tasks >= 1 and epic_max_tasks_per_run >= 1
    and epic_max_depth >= 1 and epic_max_failures_in_a_row >= 1 and epic_max_runs >= 1 and epic_max_live_runs >= 1
    and epic_max_tokens >= 1 and epic_max_cost_usd > 0 and epic_max_wall_time >= '1 minute'
  )
);
create unique index projects_repository on projects (repository_key(repo_url));

-- One row an epic; its id is that of the task that was filed. Outlives the task: no foreign key.
create table epics (
  id                    uuid primary key,
  project               text references projects on update cascade on delete set null,
  -- the Green that it was filed for
  addressee             text not null,
  title                 text not null,
  repo_url              text,
  created_by            text,
  state                 text not null default 'active',
  -- how it ended: a code (finished, gave_up, stopped, or the limit) and Green's or the engine's words
  end_code              text,
  summary               text,
  created_at            timestamptz not null default myzel_now(),
  -- when its first run was claimed: wall time counts from here
  started_at            timestamptz,
  ended_at              timestamptz,
  max_tasks             integer not null default 100,
  max_tasks_per_run     integer not null default 10,
  max_depth             integer not null default 3,
  max_failures_in_a_row integer not null default 3,
  max_runs              integer not null default 300,
  max_live_runs         integer not null default 10,
  max_tokens            bigint,
  max_cost_usd          numeric(12, 6),
  max_wall_time         interval not null default '7 days',
  -- spent so far; tasks are those that its agents created, wake-ups left out
  tasks                 integer not null default 0,
  runs                  integer not null default 0,
  tokens                bigint not null default 0,
  cost_usd              numeric(12, 6) not null default 0,
  -- how often in a row nothing of it was left to run and Green had to be woken for that
  stalls                integer not null default 0,
  -- the plan as Green last committed it
  plan_branch           text,
  plan_commit           text,
  constraint epics_state_known check (state in ('active', 'finished', 'failed', 'stopped')),
  constraint epics_end_when_ended check (
    (state = 'active') = (ended_at is null) and (state = 'active') = (end_code is null)),
  constraint epics_limits_positive check (
    max_tasks >= 1 and max_tasks_per_run >= 1 and max_depth >= 1 and max_failures_in_a_row >= 1 and max_runs >= 1
    and max_live_runs >= 1 and max_tokens >= 1 and max_cost_usd > 0 and max_wall_time >= '1 minute')
);
create index epics_active on epics (created_at) where state = 'active';

alter table task_options
  add column epic uuid,
  -- how often the work was delegated: 0 for the epic's own task; a wake-up has the depth of its Green
  add column depth integer not null default 0,
  -- the step of the plan that it works on: failures in a row are counted by it
  add column step text,
  -- files and directories that it will change: it waits while a live run of its repository changes one of them
  add column paths text[],
  -- created by one run that wants to be woken once for all of them: the id of that run
  add column group_id uuid,
  -- publish opens a pull request for the branch
  add column pull_request boolean not null default false,
  -- of a task of kind merge: what goes into the task's branch (or by pull request into the default branch)
  add column merge_branch text,
  -- of a task of kind approval: the task to create once a person has said yes
  add column on_approval jsonb,
  add constraint task_options_paths_bounded check (cardinality(paths) <= 200),
  add constraint task_options_step_bounded check (length(step) <= 200);
create index task_options_epic on task_options (epic) where epic is not null;
create index task_options_group on task_options (group_id) where group_id is not null;

-- What a wake-up tells Green: a row a task that ended, with its result as it was then.
create table wake_up_results (
  -- deferred: the results are there before the wake-up, whose prompt tells them
  wake_up_id uuid not null references tasks on delete cascade deferrable initially deferred,
  task_id    uuid not null,
  at         timestamptz not null default myzel_now(),
  result     jsonb not null,
  primary key (wake_up_id, task_id)
);
create index wake_up_results_task on wake_up_results (task_id);

-- What the engine has to say to a Green: refused tasks, limits, a run of its own that failed. Told in its next wake-up.
create table epic_notes (
  id         bigint generated always as identity primary key,
  epic       uuid not null references epics on delete cascade,
  addressee  text not null,
  at         timestamptz not null default myzel_now(),
  note       text not null,
  -- null: not told yet
  wake_up_id uuid
);
create index epic_notes_epic on epic_notes (epic, addressee);

alter table runs
  -- what gates count by; null: of none
  add column project text,
  add column epic uuid,
  add column paths text[],
  -- of its commits
  add column files_changed text[];
create index runs_epic on runs (epic) where epic is not null;

alter table profiles
  -- laid over the launcher's own pod template, where the launcher is Kubernetes
  add column pod_template jsonb,
  -- settings, hooks, skills and MCP servers that the repository brings take effect
  add column trust_repository boolean not null default false,
  add constraint profiles_pod_template_is_object check (jsonb_typeof(pod_template) = 'object');

drop function if exists create_children(tasks, jsonb);

-- A NOTIFY leads the engine to the runs that have reported or are to be stopped, not to all live ones.
create index runs_told on runs (id)
  where finished_at is null and settled_at is null and (report is not null or stop_requested_at is not null);
