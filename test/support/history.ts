/** What has piled up in a database: runs that ended long ago, their transcripts and audit rows, as plain SQL. */
import type pg from "pg";

export interface PastRuns {
  /** How many tasks. */
  tasks: number;
  /** Runs of each task; default 1. */
  attempts?: number;
  /** Of the first one; each later one ended a second after the one before. */
  daysAgo: number;
  /** The tasks themselves were deleted. */
  deleted?: boolean;
  /** Of each run; default: none. */
  transcriptBytes?: number;
  addressee?: string;
}

/** Makes them, each run with two audit rows; returns the ids of the tasks. Triggers are off meanwhile. */
export async function pastRuns(db: { pool: pg.Pool }, past: PastRuns): Promise<string[]> {
  const { tasks, attempts = 1, daysAgo, deleted = false, transcriptBytes = 0, addressee = "past" } = past;
  const session = await db.pool.connect();
  try {
    await session.query("begin; set local session_replication_role = replica");
    await session.query(
      `create temporary table past on commit drop as
         select gen_random_uuid() as task_id, gen_random_uuid() as run_id, task, attempt,
           now() - make_interval(days => $3) + make_interval(secs => task * $2 + attempt) as at
         from generate_series(0, $1::int - 1) task, generate_series(1, $2::int) attempt`,
      [tasks, attempts, daysAgo],
    );
    await session.query(
      "update past set task_id = first.task_id from past first where first.task = past.task and first.attempt = 1",
    );
    if (!deleted) {
      await session.query(
        `insert into tasks (id, addressee, prompt, status, created_at, started_at, completed_at, result)
           select task_id, $1, 'p', 'completed', min(at), max(at), max(at), '{"success": true}' from past group by task_id`,
        [addressee],
      );
    }
    await session.query(
      `insert into runs (id, task_id, addressee, slot, attempt, epoch, launcher, job_name, profile, credential, token_hash,
           started_at, launched_at, finished_at, success)
         select run_id, task_id, $1, 1, attempt, 1, 'process', 'job', 'red', 'default', '\\x00', at, at, at, true from past`,
      [addressee],
    );
    await session.query(
      `insert into task_events (task_id, run_id, at, event)
         select task_id, run_id, at, event from past, unnest(array['started', 'completed']) event order by at`,
    );
    if (transcriptBytes > 0) {
      await session.query(
        `insert into run_transcripts (run_id, content, raw_bytes, truncated, stored_at)
           select run_id, decode(repeat('61', $1::int), 'hex'), $1, false, at from past`,
        [transcriptBytes],
      );
    }
    const { rows } = await session.query("select task_id from past where attempt = 1 order by task");
    await session.query("commit");
    return rows.map((row) => row.task_id);
  } finally {
    session.release();
  }
}

/** Rows of each kind that are there. */
export async function historySize(db: {
  pool: pg.Pool;
}): Promise<{ transcripts: number; events: number; runs: number }> {
  const { rows } = await db.pool.query(
    `select (select count(*)::int from run_transcripts) as transcripts, (select count(*)::int from task_events) as events,
       (select count(*)::int from runs) as runs`,
  );
  return rows[0];
}
