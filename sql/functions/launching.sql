-- Notes that the jobs of these runs exist; runs that have ended meanwhile are left alone. Called by the launch and
-- reconcile loops with as many pod names as runs (null: not known). Who is changing a task in an open transaction holds up
-- the pod's name of that one only: it is noted with the next look.
-- Locks: the epoch (shared), the tasks (waiting for none), then their runs. Raises MZ001.
drop function if exists mark_launched(bigint, uuid, text);
create or replace function mark_launched(p_epoch bigint, p_run_ids uuid[], p_pod_names text[]) returns void
  language plpgsql
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set jit = off
as $$
declare
  v_held uuid[];
  v_busy uuid[];
  v_rows tid[];
begin
  perform hold_epoch(p_epoch);
  -- Nothing is lost with it: a job that is not marked is found and marked again.
  perform set_config('synchronous_commit', 'off', true);
  v_held := array(
    select t.id from tasks t
    where t.id = any (array(select r.task_id from runs r where r.id = any (p_run_ids)))
    for update skip locked);
  v_busy := array(
    select run.id
    from unnest(p_run_ids) run (id)
    cross join lateral (select r.task_id from runs r where r.id = run.id limit 1) r
    where r.task_id <> all (v_held) and exists (select from tasks t where t.id = r.task_id));
  -- By their keys, not by walking all live runs; and each stays where it is once it is locked.
  v_rows := array(
    select r.row
    from (select id from unnest(p_run_ids) id where id <> all (v_busy)) run
    cross join lateral (select r.ctid as row, r.finished_at from runs r where r.id = run.id limit 1 for update) r
    where r.finished_at is null
  ) || array(
    select r.row
    from unnest(v_busy) run (id)
    cross join lateral (
      select r.ctid as row, r.finished_at from runs r where r.id = run.id limit 1 for update skip locked) r
    where r.finished_at is null);
  with launched as (
    update runs r set
      launched_at = coalesce(r.launched_at, myzel_now()),
      pod_name = case when r.id = any (v_busy) then r.pod_name
        else coalesce(p_pod_names[array_position(p_run_ids, r.id)], r.pod_name) end
    where r.ctid = any (v_rows)
    returning r.task_id, r.pod_name, r.stop_requested_at
  ), told as materialized (
    select t.row, l.pod_name
    from launched l
    cross join lateral (select t.ctid as row, t.worker_pod from tasks t where t.id = l.task_id limit 1) t
    -- a run that is live and not to be stopped is its task's own: the task is running
    where l.stop_requested_at is null and t.worker_pod is distinct from l.pod_name and l.task_id = any (v_held)
  )
  update tasks t set worker_pod = told.pod_name from told where t.ctid = told.row; -- locked above: it stays where it is
end $$;

-- Notes what the job of a live run waits for, in a sentence for people; null: for nothing. Called by the reconcile loop.
-- Locks: the epoch (shared), the run, unless somebody else has it: then it is noted with the next look. Raises MZ001.
create or replace function note_waiting(p_epoch bigint, p_run_id uuid, p_waiting_for text) returns void
  language plpgsql as $$
begin
  perform hold_epoch(p_epoch);
  perform set_config('synchronous_commit', 'off', true);
  update runs set waiting_for = left(p_waiting_for, 2000)
  where id = (select r.id from runs r where r.id = p_run_id and r.finished_at is null for update skip locked);
end $$;

-- Runs with what their launch needs. Without a condition of its own: whoever looks one up by its id gets it by that key,
-- and no plan walks all live runs for it.
create or replace view run_launches as
  select
    r.id as run_id, r.task_id, r.attempt, r.retries, r.addressee, r.job_name, r.repo_url, r.host,
    r.started_at as claimed_at,
    ceil(extract(epoch from coalesce(p.time_limit, interval '2 hours')))::integer as time_limit_seconds,
    p.image, p.cpu, p.memory, r.credential, c.env_var, c.file_path, c.secret_name, c.secret_key, p.role,
    r.profile, p.pod_template, r.waiting_for, p.secrets,
    r.finished_at, r.launched_at, r.stop_requested_at
  from runs r
  -- a profile or credential that was deleted meanwhile: checkout is turned away, and the next attempt resolves anew
  left join profiles p on p.name = r.profile
  left join credentials c on c.name = r.credential;

-- Live runs that wait for their job; runs to be stopped are not among them.
create or replace view unlaunched_runs as
  select
    run_id, task_id, attempt, retries, addressee, job_name, repo_url, host, claimed_at, time_limit_seconds, image, cpu,
    memory, credential, env_var, file_path, secret_name, secret_key, role, profile, pod_template, waiting_for, secrets
  from run_launches
  where finished_at is null and launched_at is null and stop_requested_at is null;
