-- Leadership: a session advisory lock says who leads, the epoch says who may still write. Advisory keys of this
-- schema are (1299798577, n): 1 the leader's session, 2 the epoch, 3 the sleeping engine.

-- Called by an engine whose session holds the leader lock: makes it the leader and returns its epoch.
-- Locks: the epoch exclusively, so it waits for transactions of the old leader that are still open.
-- Raises MZ004 when the engine makes run tokens with another key than the engines before it.
create or replace function raise_epoch(
  p_engine_id uuid, p_host text, p_pid integer, p_version text, p_launcher text, p_max_live_runs integer,
  p_key_hash bytea
) returns bigint
  language plpgsql as $$
declare
  v_epoch bigint;
begin
  perform pg_advisory_xact_lock(1299798577, 2);
  if exists (select 1 from engine_state where key_hash <> p_key_hash) then
    raise exception using errcode = 'MZ004', message =
      'This engine''s run key is not the one that the engines before it used: give it the same key, or forget the old one with: update engine_state set key_hash = null.';
  end if;
  update engine_state set
    epoch = epoch + 1, engine_id = p_engine_id, host = p_host, pid = p_pid, version = p_version,
    launcher = p_launcher, max_live_runs = p_max_live_runs, key_hash = p_key_hash,
    led_since = myzel_now()
  returning epoch into v_epoch;
  update engine_beat set beat_at = myzel_now();
  return v_epoch;
end $$;

-- First statement of every transaction of a leader: holds the epoch until its end (no WAL is written for it).
-- Raises MZ001 when the epoch is not p_epoch any more.
create or replace function hold_epoch(p_epoch bigint) returns void
  language plpgsql as $$
begin
  perform pg_advisory_xact_lock_shared(1299798577, 2);
  if not exists (select 1 from engine_state where epoch = p_epoch) then
    raise exception using errcode = 'MZ001',
      message = format('Epoch %s is over: another engine has taken over.', p_epoch);
  end if;
end $$;

-- The leader's sign of life, by the database's clock: in a row that nobody else writes, so that nobody holds it up.
-- Raises MZ001.
create or replace function beat(p_epoch bigint) returns void
  language plpgsql as $$
begin
  perform hold_epoch(p_epoch);
  perform set_config('synchronous_commit', 'off', true);
  update engine_beat set beat_at = myzel_now();
end $$;

-- For a leader that stops in good order: it counts as gone at once.
create or replace function step_down(p_epoch bigint) returns void
  language plpgsql as $$
begin
  perform hold_epoch(p_epoch);
  update engine_beat set beat_at = null;
end $$;

-- Terminates every session of a leader that has not beaten for p_silent; returns how many. Called by a standby that
-- cannot get the leader lock: the silent engine's session may hold it from a paused process or a half-open connection.
create or replace function terminate_silent_engine(p_silent interval) returns integer
  language sql as $$
  select count(*) filter (where pg_terminate_backend(a.pid))::integer
  from engine_state s
  cross join engine_beat b
  join pg_stat_activity a on a.datname = current_database()
    and a.application_name = 'myzel-engine ' || s.engine_id
    and a.pid <> pg_backend_pid()
  where b.beat_at < myzel_now() - p_silent;
$$;

-- Whether an engine leads: it has beaten within the last 15 seconds.
create or replace function engine_is_live() returns boolean
  language sql stable
  return (select coalesce(beat_at > myzel_now() - interval '15 seconds', false) from engine_beat);
