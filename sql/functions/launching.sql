-- Notes that a run's job exists. Zero rows (false) if the run has ended meanwhile. Called by the launch loop.
-- Locks: the epoch (shared), the task, then its run. Raises MZ001.
create or replace function mark_launched(p_epoch bigint, p_run_id uuid, p_pod_name text) returns boolean
  language plpgsql
  set enable_seqscan = off set jit = off as $$
declare
  v_task_id uuid;
  v_pod_name text;
  v_stopping boolean;
begin
  perform hold_epoch(p_epoch);
  -- Nothing is lost with it: a job that is not marked is found and marked again.
  perform set_config('synchronous_commit', 'off', true);
  select task_id into v_task_id from runs where id = p_run_id;
  perform from tasks where id = v_task_id for update;
  update runs set launched_at = coalesce(launched_at, myzel_now()), pod_name = coalesce(p_pod_name, pod_name)
  where id = p_run_id and finished_at is null
  returning pod_name, stop_requested_at is not null into v_pod_name, v_stopping;
  if not found then
    return false;
  end if;
  if not v_stopping then
    update tasks set worker_pod = v_pod_name
    where id = v_task_id and status = 'running' and worker_pod is distinct from v_pod_name;
  end if;
  return true;
end $$;

-- Live runs that wait for their job, with what the launch needs; runs to be stopped are not among them.
create or replace view unlaunched_runs as
  select
    r.id as run_id, r.task_id, r.attempt, r.retries, r.addressee, r.job_name, r.repo_url, r.host,
    r.started_at as claimed_at,
    ceil(extract(epoch from coalesce(p.time_limit, interval '2 hours')))::integer as time_limit_seconds,
    p.image, p.cpu, p.memory, r.credential, c.env_var, c.file_path, c.secret_name, c.secret_key
  from runs r
  -- a profile or credential that was deleted meanwhile: checkout is turned away, and the next attempt resolves anew
  left join profiles p on p.name = r.profile
  left join credentials c on c.name = r.credential
  where r.finished_at is null and r.launched_at is null and r.stop_requested_at is null;
