-- What holds back the heads of many lanes at once: projects, epics, paths, credentials and what a day may cost.
-- See docs/decisions/0008-parked-lanes.md.
set local lock_timeout = '5s';

-- It takes the project's profiles too. What uses it is made anew together with it, from sql/functions/.
drop function if exists resolve_profile(text, text, text) cascade;

-- All lanes are made anew.
delete from lanes;
alter table lanes
  add column role text not null,
  -- of the head: what gates it may be behind; null: of none
  add column project text,
  add column epic uuid,
  add column paths text[],
  -- the gate that it is parked behind: not ready, and not looked at before that gate may have opened
  add column gate text,
  add constraint lanes_parked_are_not_ready check (gate is null or not ready);
create index lanes_parked on lanes (gate, credential, head_created_at, head_task_id) where gate is not null;
insert into lane_changes (addressee) select distinct addressee from tasks where status = 'pending';

-- A row says: this lane may have changed; or: this gate may have opened.
alter table lane_changes
  alter column addressee drop not null,
  add column gate text,
  add constraint lane_changes_say_one_thing check ((addressee is null) <> (gate is null));

-- Live runs behind a gate are counted at every claim that it concerns. Runs without one are in none of these.
create index runs_live_project on runs (project) where finished_at is null and project is not null;
create index runs_live_epic on runs (epic) where finished_at is null and epic is not null;
create index runs_live_paths on runs (repository_key(repo_url)) where finished_at is null and paths is not null;

alter table credentials
  -- null: as many as there are places
  add column max_live_runs integer,
  -- the service has warned that a usage limit is near; with keep_reserve nothing starts before this time
  add column keep_reserve boolean not null default false,
  add column warned_until timestamptz,
  add constraint credentials_max_live_runs_not_negative check (max_live_runs >= 0);

-- At list price; over it nothing starts until the day (UTC) is over. Null: no limit.
alter table engine_state
  add column max_daily_cost_usd numeric(12, 6),
  add constraint engine_state_max_daily_cost_positive check (max_daily_cost_usd > 0);

-- What the runs of a project that ended on a day (UTC) have used; project '': all of them together, and runs of no
-- project that cost something. No foreign key: a settle must not fail because somebody deletes a project.
create table project_days (
  project  text not null,
  day      date not null,
  runs     bigint not null default 0,
  -- input, output and cache creation
  tokens   bigint not null default 0,
  cost_usd numeric(14, 6) not null default 0,
  primary key (project, day)
) with (fillfactor = 50);
