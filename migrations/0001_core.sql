-- Tasks, runs and what steers them. Functions, triggers and views are not here: their current text lies in sql/functions/.
set local lock_timeout = '5s';

-- The one clock of the schema: tests set myzel.now, everybody else gets the wall clock of the server.
-- Not the transaction's time: rows of one INSERT keep the order in which they were written.
create function myzel_now() returns timestamptz
  language sql volatile parallel safe
  return coalesce(nullif(current_setting('myzel.now', true), '')::timestamptz, clock_timestamp());

create table tasks (
  id           uuid primary key default gen_random_uuid(),
  addressee    text not null,
  status       text not null default 'pending',
  prompt       text not null,
  repo_url     text,
  branch       text,
  created_by   text default session_user,
  created_at   timestamptz not null default myzel_now(),
  started_at   timestamptz,
  completed_at timestamptz,
  result       jsonb,
  worker_pod   text,
  parent_id    uuid,
  constraint tasks_status_known check (status in ('pending', 'running', 'completed')),
  constraint tasks_times_match_status check (
    case status
      when 'pending' then started_at is null and completed_at is null and worker_pod is null
      when 'running' then started_at is not null and completed_at is null
      else completed_at is not null
    end
  ),
  constraint tasks_result_when_completed check ((result is null) = (status <> 'completed')),
  constraint tasks_result_is_object check (jsonb_typeof(result) = 'object')
);

-- The head of an addressee: its oldest pending task.
create index tasks_pending on tasks (addressee, created_at, id) where status = 'pending';
create index tasks_running on tasks (started_at) where status = 'running';
create index tasks_completed on tasks (completed_at desc) where status = 'completed';
create index tasks_parent on tasks (parent_id) where parent_id is not null;

create table credentials (
  name           text primary key,
  -- where the secret lies; never the secret itself
  env_var        text,
  file_path      text,
  secret_name    text,
  secret_key     text,
  -- usage limit reached: nothing starts before this time
  blocked_until  timestamptz,
  blocked_reason text,
  -- why no run can use it here, said by the engine; null: usable
  problem        text,
  constraint credentials_one_source check (num_nonnulls(env_var, file_path, secret_name) <= 1),
  constraint credentials_env_var_is_a_name check (env_var ~ '^[A-Za-z_][A-Za-z0-9_]{0,99}$'),
  constraint credentials_file_path_is_absolute check (file_path ~ '^/'),
  constraint credentials_secret_has_key check ((secret_name is null) = (secret_key is null)),
  constraint credentials_secret_is_a_name check (
    secret_name ~ '^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$' and secret_key ~ '^[-._A-Za-z0-9]{1,253}$'
  )
);

create table profiles (
  name                    text primary key,
  role                    text not null,
  -- LIKE pattern of addressees; the longest that matches wins
  addressee_pattern       text unique,
  model                   text,
  effort                  text,
  system_prompt           text,
  image                   text,
  time_limit              interval not null default '2 hours',
  first_output_limit      interval not null default '5 minutes',
  silence_limit           interval not null default '30 minutes',
  max_turns               integer,
  max_cost_usd            numeric(12, 6),
  cpu                     text,
  memory                  text,
  credential              text not null default 'default' references credentials,
  check_command           text,
  check_tries             integer not null default 1,
  push_failing_work       boolean not null default false,
  may_push_default_branch boolean not null default false,
  run_commit_hooks        boolean not null default false,
  may_create_tasks        boolean not null default false,
  environment             jsonb not null default '{}',
  mcp_servers             jsonb not null default '{}',
  constraint profiles_role_known check (role in ('green', 'red', 'human')),
  constraint profiles_effort_known check (effort in ('low', 'medium', 'high', 'xhigh', 'max')),
  constraint profiles_limits_positive check (
    time_limit >= '1 second' and first_output_limit >= '1 second' and silence_limit >= '1 second'
    and max_turns >= 1 and max_cost_usd > 0 and check_tries >= 0
  ),
  constraint profiles_environment_is_object check (jsonb_typeof(environment) = 'object'),
  constraint profiles_mcp_servers_is_object check (jsonb_typeof(mcp_servers) = 'object')
);

-- Only the addressees that differ from the default.
create table addressees (
  addressee text primary key,
  capacity  integer not null default 1,
  paused    boolean not null default false,
  profile   text references profiles,
  constraint addressees_capacity_in_range check (capacity between 0 and 10000)
);

-- What else is known of some tasks: one row a task, filled by enqueue().
create table task_options (
  task_id         uuid primary key references tasks on delete cascade,
  profile         text references profiles,
  model           text,
  effort          text,
  base_branch     text,
  idempotency_key text unique,
  kind            text,
  constraint task_options_effort_known check (effort in ('low', 'medium', 'high', 'xhigh', 'max')),
  constraint task_options_key_not_blank check (idempotency_key ~ '\S' and length(idempotency_key) <= 200)
);

-- Every attempt. Outlives its task: no foreign key.
create table runs (
  id                    uuid primary key,
  task_id               uuid not null,
  addressee             text not null,
  slot                  integer not null,
  -- per task, always rising; pruning keeps the newest run of a task that still exists
  attempt               integer not null,
  -- infrastructure failures in a row before this run, since the task was last filed or rescheduled
  retries               integer not null default 0,
  -- epoch of the engine that claimed it
  epoch                 bigint not null,
  launcher              text not null,
  -- where only engines on that host can judge it; null on Kubernetes
  host                  text,
  job_name              text not null,
  pod_name              text,
  profile               text not null,
  credential            text not null,
  repo_url              text,
  started_at            timestamptz not null default myzel_now(),
  launched_at           timestamptz,
  finished_at           timestamptz,
  token_hash            bytea not null,
  -- the one pod or process whose checkout called first
  bound_to              text,
  stop_requested_at     timestamptz,
  stop_reason           text,
  -- the report that publish announced before it pushed, and the final one
  announced             jsonb,
  report                jsonb,
  success               boolean,
  failure_code          text,
  error                 text,
  exit_code             integer,
  -- set when the engine put the task back by itself: not again before this time
  retry_at              timestamptz,
  branch                text,
  commit_sha            text,
  cost_usd              numeric(12, 6),
  input_tokens          bigint,
  output_tokens         bigint,
  cache_read_tokens     bigint,
  cache_creation_tokens bigint,
  turns                 integer,
  session_id            text,
  model                 text,
  constraint runs_attempt_unique unique (task_id, attempt),
  constraint runs_slot_positive check (slot >= 1),
  constraint runs_outcome_when_finished check (
    case when finished_at is null then success is null and failure_code is null and retry_at is null
      else success is not null and success = (failure_code is null) end
  )
);

-- The database itself refuses a second occupant of a slot, and a second live run of a task.
create unique index runs_live_slot on runs (addressee, slot) where finished_at is null;
-- (success is null says the same as finished_at is null, by the check above; worded differently so that this index is
-- never taken for finding the live runs of an addressee: to the planner of an empty table all small indexes are alike.)
create unique index runs_live_task on runs (task_id) where success is null;
create index runs_unlaunched on runs (started_at) where finished_at is null and launched_at is null;
create index runs_finished on runs (finished_at) where finished_at is not null;

create table run_transcripts (
  run_id    uuid primary key references runs on delete cascade,
  -- gzip of JSON lines
  content   bytea not null,
  raw_bytes bigint not null,
  truncated boolean not null,
  stored_at timestamptz not null default myzel_now()
);
alter table run_transcripts alter column content set storage external;

-- Audit of everything that happens to a task after its INSERT, written in the same transaction.
create table task_events (
  id          bigint generated always as identity primary key,
  task_id     uuid not null,
  run_id      uuid,
  at          timestamptz not null default myzel_now(),
  -- database user and application that made the change
  actor       text not null default session_user,
  application text not null default current_setting('application_name'),
  event       text not null,
  from_status text,
  to_status   text,
  detail      jsonb
);
create index task_events_task on task_events (task_id, id);

-- The one row about the leading engine. The epoch only rises; what belongs to an older one may no longer write.
create table engine_state (
  singleton     boolean primary key default true,
  epoch         bigint not null default 0,
  engine_id     uuid,
  host          text,
  pid           integer,
  version       text,
  launcher      text,
  max_live_runs integer not null default 1,
  led_since     timestamptz,
  beat_at       timestamptz,
  -- dispatch is paused: nothing starts
  paused        boolean not null default false,
  -- SHA-256 of the key that all engines make run tokens with
  key_hash      bytea,
  constraint engine_state_one_row check (singleton)
);
insert into engine_state default values;

-- Log of addressees whose lane may have changed: appended by triggers in the writer's own transaction (no shared
-- row, nothing to wait for), drained by dispatch alone.
create table lane_changes (
  addressee text not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_insert_threshold = -1);

-- One row for each addressee with a pending task, written by dispatch alone. Claiming looks at ready lanes, never
-- at the backlog behind busy ones.
create table lanes (
  addressee       text primary key,
  head_task_id    uuid not null,
  head_created_at timestamptz not null,
  -- of the head; '' where it names none
  repo_url        text not null,
  credential      text not null,
  -- the head could start now, as far as its addressee is concerned
  ready           boolean not null,
  -- not ready because the head waits after a failure until then
  wake_at         timestamptz
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
create index lanes_ready on lanes (credential, head_created_at, head_task_id) where ready;
create index lanes_ready_by_repo on lanes (credential, repo_url, head_created_at, head_task_id) where ready;
create index lanes_wake on lanes (wake_at) where wake_at is not null;

insert into credentials (name) values ('default');
insert into profiles (name, role, addressee_pattern, may_create_tasks, may_push_default_branch) values
  ('red', 'red', '%', false, false),
  ('green', 'green', 'project-mgr-%', true, false),
  ('human', 'human', 'blue', false, false);
