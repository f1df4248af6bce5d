-- Pruning: transcripts, runs and audit rows go by age and by size, oldest first, in batches. Called by the engine's
-- recurring work and by `myzel prune`; any number may prune at once, and none needs to lead: it does no harm twice.
--
-- What a run left unpushed (run_work) goes and counts with its transcript, but stays while its task is not completed.
--
-- What is never pruned: a live run and its transcript; any run of a task that is pending or running (a retry needs what
-- its earlier attempts announced, and why it waits is told by the latest); the newest run of a task that exists, so that
-- attempts are never numbered twice. Tasks are the user's own and stay until somebody deletes them.
--
-- A batch is one short transaction. It goes by an index whatever the table's size, beginning where the batch before it
-- ended (p_after, next_after: null at the end), so that it does not walk over what that one deleted. Rows that somebody
-- has locked are left for the next time, and a locked table fails it with 55P03 after 200 ms: it waits for nobody.
-- With p_dry_run it counts, and changes nothing.

-- When the oldest transcript was stored that fits into so many bytes, counted from the newest; 'infinity' where none
-- fits, null where all do. Reads as many rows as fit, and none while the whole table is smaller.
create or replace function transcripts_fit_since(p_max_bytes bigint) returns timestamptz
  language plpgsql stable
  set enable_seqscan = off set jit = off as $$
declare
  v_transcript record;
  v_bytes bigint := 0;
  v_since timestamptz := 'infinity';
begin
  if p_max_bytes is null
    or pg_total_relation_size('run_transcripts') + pg_total_relation_size('run_work') <= p_max_bytes
  then
    return null;
  end if;
  for v_transcript in
    select t.stored_at, octet_length(t.content) + work_bytes(t.run_id) as bytes from run_transcripts t
    order by t.stored_at desc
  loop
    v_bytes := v_bytes + v_transcript.bytes;
    if v_bytes > p_max_bytes then
      return v_since;
    end if;
    v_since := v_transcript.stored_at;
  end loop;
  return null;
end $$;

-- When the oldest of the last so many runs ended; null where there are not so many. Reads so many index entries.
create or replace function runs_fit_since(p_max_runs bigint) returns timestamptz
  language plpgsql stable
  set enable_seqscan = off set jit = off as $$
begin
  if p_max_runs is null then
    return null; -- an offset that is null would be none
  end if;
  return (
    select finished_at from runs
    where finished_at is not null
    order by finished_at desc
    offset p_max_runs - 1
    limit 1);
end $$;

-- Bytes of what a run left unpushed.
create or replace function work_bytes(p_run_id uuid) returns bigint
  language plpgsql stable
  set enable_seqscan = off set jit = off as $$
begin
  return coalesce((
    select coalesce(octet_length(w.bundle), 0) + coalesce(octet_length(w.session), 0)
    from run_work w where w.run_id = p_run_id), 0);
end $$;

-- Deletes transcripts stored before p_before, at most p_limit, and few where they are big.
-- Locks: the transcripts, skipping locked ones.
create or replace function prune_transcripts(p_before timestamptz, p_limit integer, p_after jsonb, p_dry_run boolean)
  returns table (pruned bigint, bytes bigint, next_after jsonb)
  language plpgsql
  set lock_timeout = '200ms'
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  v_after_at timestamptz := coalesce((p_after ->> 0)::timestamptz, '-infinity');
  v_after_id uuid := coalesce((p_after ->> 1)::uuid, '00000000-0000-0000-0000-000000000000');
  v_old uuid[];
begin
  select
    array_agg(o.run_id),
    case when count(*) < o.found or o.found = p_limit
      then jsonb_build_array(max(o.stored_at), (array_agg(o.run_id order by o.stored_at desc, o.run_id desc))[1]) end
  into v_old, next_after
  from (
    select t.run_id, t.stored_at, count(*) over () as found,
      -- of those before it in this batch
      sum(t.bytes) over (order by t.stored_at, t.run_id) - t.bytes as bytes_before
    from (
      select t.run_id, t.stored_at, octet_length(t.content) + work_bytes(t.run_id) as bytes from run_transcripts t
      where t.stored_at >= v_after_at and t.stored_at < p_before and (t.stored_at, t.run_id) > (v_after_at, v_after_id)
      order by t.stored_at, t.run_id
      limit p_limit
    ) t
  ) o
  where o.bytes_before < 67108864
  group by o.found;

  if not p_dry_run then
    v_old := array(
      select t.run_id from run_transcripts t
      where t.run_id = any (v_old) and exists (select from runs r where r.id = t.run_id and r.finished_at is not null)
      for update skip locked);
    with gone as (
      delete from run_transcripts t where t.run_id = any (v_old) returning octet_length(t.content) as content_bytes
    ), work as (
      delete from run_work w
      where w.run_id = any (array(
        select w.run_id from run_work w
        where w.run_id = any (v_old) and not exists (
          select from runs r join tasks t on t.id = r.task_id where r.id = w.run_id and t.status <> 'completed')
        for update skip locked))
      returning coalesce(octet_length(w.bundle), 0) + coalesce(octet_length(w.session), 0) as content_bytes
    )
    select (select count(*) from gone), coalesce(sum(content_bytes), 0) into pruned, bytes
    from (select content_bytes from gone union all select content_bytes from work) both_of_them;
  else
    select count(*), coalesce(sum(octet_length(t.content) + work_bytes(t.run_id)), 0) into pruned, bytes
    from run_transcripts t
    where t.run_id = any (v_old) and exists (select from runs r where r.id = t.run_id and r.finished_at is not null);
  end if;
  return next;
end $$;

-- Deletes runs that ended before p_before, with their transcripts and the audit rows that name them, looking at no more
-- than p_limit. Locks: the runs, their transcripts, their audit rows, skipping locked ones.
create or replace function prune_runs(p_before timestamptz, p_limit integer, p_after jsonb, p_dry_run boolean)
  returns table (pruned bigint, bytes bigint, next_after jsonb)
  language plpgsql
  set lock_timeout = '200ms'
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  v_after_at timestamptz := coalesce((p_after ->> 0)::timestamptz, '-infinity');
  v_after_id uuid := coalesce((p_after ->> 1)::uuid, '00000000-0000-0000-0000-000000000000');
  v_old uuid[];
begin
  bytes := 0;
  select
    array_agg(o.id),
    case when count(*) < o.found or o.found = p_limit
      then jsonb_build_array(max(o.finished_at), (array_agg(o.id order by o.finished_at desc, o.id desc))[1]) end
  into v_old, next_after
  from (
    select r.id, r.finished_at, count(*) over () as found,
      -- of those before it in this batch
      sum(r.bytes) over (order by r.finished_at, r.id) - r.bytes as bytes_before
    from (
      select r.id, r.finished_at,
        coalesce((select octet_length(t.content) from run_transcripts t where t.run_id = r.id), 0) as bytes
      from runs r
      where r.finished_at is not null and r.finished_at >= v_after_at and r.finished_at < p_before
        and (r.finished_at, r.id) > (v_after_at, v_after_id)
      order by r.finished_at, r.id
      limit p_limit
    ) r
  ) o
  where o.bytes_before < 67108864
  group by o.found;

  -- Where the task exists, it is completed and a later run of it is there.
  v_old := array(
    select r.id from runs r
    where r.id = any (v_old) and coalesce((
      select t.status = 'completed'
        and exists (select from runs later where later.task_id = t.id and later.attempt > r.attempt)
      from tasks t where t.id = r.task_id), true));
  if p_dry_run then
    pruned := cardinality(v_old);
    return next;
    return;
  end if;

  v_old := array(select r.id from runs r where r.id = any (v_old) for update skip locked);
  delete from run_transcripts t
  where t.run_id = any (array(select l.run_id from run_transcripts l where l.run_id = any (v_old) for update skip locked));
  -- A run whose transcript is locked stays with it: the foreign key would wait for that lock.
  v_old := array(
    select r.id from runs r
    where r.id = any (v_old) and not exists (select from run_transcripts t where t.run_id = r.id));
  perform delete_events(array(
    select e.id from runs r
    join task_events e on e.task_id = r.task_id and e.run_id = r.id
    where r.id = any (v_old)));
  delete from runs r where r.id = any (v_old);
  get diagnostics pruned = row_count;
  return next;
end $$;

-- Deletes audit rows written before p_before, whatever their task, looking at no more than p_limit.
-- Locks: the audit rows, skipping locked ones.
create or replace function prune_events(p_before timestamptz, p_limit integer, p_after jsonb, p_dry_run boolean)
  returns table (pruned bigint, bytes bigint, next_after jsonb)
  language plpgsql
  set lock_timeout = '200ms'
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  v_after bigint := coalesce((p_after ->> 0)::bigint, 0);
  v_old bigint[];
begin
  bytes := 0;
  -- Ids are in the order of their times but for transactions that overlap: the first batch without an old row is the end.
  select
    array_agg(e.id) filter (where e.at < p_before),
    case when count(*) = p_limit and bool_or(e.at < p_before) then jsonb_build_array(max(e.id)) end
  into v_old, next_after
  from (select id, at from task_events where id > v_after order by id limit p_limit) e;
  pruned := case when p_dry_run then coalesce(cardinality(v_old), 0) else delete_events(v_old) end;
  return next;
end $$;

-- Deletes these audit rows but for those that somebody has locked; returns how many.
create or replace function delete_events(p_ids bigint[]) returns bigint
  language plpgsql as $$
declare
  v_deleted bigint;
begin
  delete from task_events
  where id = any (array(select e.id from task_events e where e.id = any (p_ids) for update skip locked));
  get diagnostics v_deleted = row_count;
  return v_deleted;
end $$;
