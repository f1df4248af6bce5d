-- What runs leave unpushed: kept by publish, gone on from by the next attempt's checkout, written to a file for people.

-- Like demand_run, for a run that is ending: one that was told to stop may still say what it leaves. Not one whose
-- report is in. Locks: the run's row. Raises MZ003.
create or replace function demand_ending_run(p_run_id uuid, p_token text, p_bound_to text) returns runs
  language plpgsql set search_path = public, pg_temp
  set enable_seqscan = off set jit = off as $$
declare
  v_run runs;
begin
  select * into v_run from runs
  where id = p_run_id
    and finished_at is null
    and settled_at is null
    and report is null
    and token_hash = sha256(convert_to(p_token, 'UTF8'))
    and bound_to = nullif(p_bound_to, '')
  for update;
  if v_run.id is null then
    raise exception using errcode = 'MZ003',
      message = 'This run is over, or belongs to another pod: nothing was done.';
  end if;
  return v_run;
end $$;

-- The brief of a run that was told to stop, for publish to keep what it leaves. Binds nothing. Raises MZ003.
create or replace function load_stopped_brief(p_run_id uuid, p_token text, p_bound_to text) returns jsonb
  language plpgsql security definer set search_path = public, pg_temp
  set enable_seqscan = off set jit = off as $$
begin
  return run_brief(demand_ending_run(p_run_id, p_token, p_bound_to));
end $$;

-- Keeps what the run leaves; replaces what this run stored before. The bundle holds p_branch up to p_head_sha (at most
-- 32 MiB), the session is gzip of JSON lines (at most 16 MiB). Either may be null. Raises MZ002, MZ003.
create or replace function store_work(
  p_run_id uuid, p_token text, p_bound_to text, p_branch text, p_base_sha text, p_head_sha text, p_bundle bytea,
  p_session_id uuid, p_session bytea
) returns void
  language plpgsql security definer set search_path = public, pg_temp as $$
begin
  perform demand_ending_run(p_run_id, p_token, p_bound_to);
  if octet_length(p_bundle) > 33554432 or octet_length(p_session) > 16777216 then
    raise exception using errcode = 'MZ002', message = 'Kept work may have a bundle of 32 MiB and a session of 16 MiB.';
  end if;
  insert into run_work (run_id, branch, base_sha, head_sha, bundle, session_id, session)
  values (p_run_id, p_branch, p_base_sha, p_head_sha, p_bundle, p_session_id, p_session)
  on conflict (run_id) do update set
    branch = excluded.branch, base_sha = excluded.base_sha, head_sha = excluded.head_sha, bundle = excluded.bundle,
    session_id = excluded.session_id, session = excluded.session, stored_at = excluded.stored_at;
end $$;

-- The run whose work this attempt goes on from: the newest one that the engine repeated by itself and that left
-- something, else the one that a person named or the newest before it. Null: it starts from the start.
create or replace function continued_run(p_task_id uuid, p_attempt integer) returns uuid
  language plpgsql stable set enable_seqscan = off set jit = off as $$
begin
  return coalesce(
    -- (a hand edit that runs a task again clears retry_at of all of them)
    (select r.id from runs r join run_work w on w.run_id = r.id
      where r.task_id = p_task_id and r.attempt < p_attempt and r.retry_at is not null
      order by r.attempt desc
      limit 1),
    (select r.id from task_options o
      join runs named on named.id = o.continue_run
      -- it was live when it was named, and may have left nothing
      join runs r on r.task_id = named.task_id and r.attempt <= named.attempt and r.finished_at is not null
      join run_work w on w.run_id = r.id
      where o.task_id = p_task_id and named.task_id = p_task_id
      order by r.attempt desc
      limit 1));
end $$;

-- `continues` of a brief.
create or replace function brief_continues(p_run runs) returns jsonb
  language plpgsql stable as $$
begin
  return (
    select jsonb_build_object('run_id', r.id, 'base_sha', w.base_sha, 'head_sha', w.head_sha,
      'session_id', w.session_id, 'code', r.failure_code, 'error', r.error)
    from run_work w join runs r on r.id = w.run_id
    where w.run_id = continued_run(p_run.task_id, p_run.attempt));
end $$;

-- What the run goes on from, one row or none: the bundle and session of the run that its brief names, and what that
-- run had put into its outbox, which was never looked at. Raises MZ003. Locks: the run's row.
create or replace function load_work(p_run_id uuid, p_token text, p_bound_to text)
  returns table (branch text, head_sha text, bundle bytea, session_id uuid, session bytea, tasks jsonb, finish_epic jsonb)
  language plpgsql security definer set search_path = public, pg_temp
  set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  v_run runs := demand_run(p_run_id, p_token, p_bound_to, false);
begin
  return query
    select w.branch, w.head_sha, w.bundle, w.session_id, w.session, coalesce(r.report -> 'tasks', '[]'),
      r.report -> 'finish_epic'
    from run_work w join runs r on r.id = w.run_id
    where w.run_id = continued_run(v_run.task_id, v_run.attempt);
end $$;

-- Runs of the task right before this one that ended with this code without having done anything. What the engine gives
-- up after so many is decided in domain/outcome.ts.
create or replace function failures_in_a_row(p_run_id uuid, p_code text) returns integer
  language plpgsql stable set enable_seqscan = off set jit = off as $$
declare
  v_run runs;
begin
  select * into v_run from runs where id = p_run_id;
  return v_run.attempt - 1 - coalesce((
    select max(r.attempt) from runs r
    where r.task_id = v_run.task_id and r.attempt < v_run.attempt
      and (r.retry_at is null or r.failure_code is distinct from p_code or r.output_tokens > 0)), 0);
end $$;
