-- What a run had not pushed when it ended, and how often the model's service was overloaded in a row.
set local lock_timeout = '5s';

create table run_work (
  run_id     uuid primary key references runs on delete cascade,
  -- git bundle of the branch, without what is on the remote; null: there was nothing new
  bundle     bytea,
  branch     text,
  -- where its commits begin, and their last one
  base_sha   text,
  head_sha   text,
  -- the CLI's session, gzip of JSON lines, masked
  session_id uuid,
  session    bytea,
  stored_at  timestamptz not null default myzel_now(),
  constraint run_work_holds_something check (num_nonnulls(bundle, session) > 0),
  constraint run_work_bundle_has_a_head check ((bundle is null) = (head_sha is null) and (bundle is null or branch is not null)),
  constraint run_work_session_has_an_id check ((session is null) = (session_id is null)),
  constraint run_work_bounded check (octet_length(bundle) <= 33554432 and octet_length(session) <= 16777216)
);
alter table run_work alter column bundle set storage external, alter column session set storage external;

-- A person (or Green) said that the next attempt goes on from what this run left.
alter table task_options add column continue_run uuid;

-- how often in a row the service was too busy; each time pauses the credential longer
alter table credentials add column overloads_in_a_row integer not null default 0;
