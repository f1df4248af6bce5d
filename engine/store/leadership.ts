/** Leading: the session lock, the epoch, the beat. The SQL side is sql/functions/leadership.sql. */
import { sql } from "kysely";
import type pg from "pg";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";

/** Class of the advisory locks of this schema ("MyZ1"), and their numbers. */
const LOCK_CLASS = 0x4d795a31;
const LEADER_LOCK = 1;
const ASLEEP_LOCK = 3;

/** A leader that has not beaten for so long is replaced; with a beat every 3 s and a try every 2 s, within 15 s. */
const SILENT_AFTER_SECONDS = 10;

/** Application name of every session of an engine: by it a successor finds and ends them. */
export function engineApplicationName(engineId: string): string {
  return `myzel-engine ${engineId}`;
}

export interface Candidate {
  engineId: string;
  host: string;
  version: string;
  launcher: string;
  maxLiveRuns: number;
  /** SHA-256 of the key that run tokens are made with. */
  keyHash: Buffer;
}

/**
 * Tries to become the leader with this session, which holds the leader lock from then on.
 * Returns the epoch, or null where another engine leads. Terminates the sessions of a silent one, so
 * that a later try succeeds.
 * @throws RefusedError when the run key differs from that of the engines before
 */
export async function tryToLead(session: pg.Client, candidate: Candidate): Promise<number | null> {
  const locked = await asking(
    session.query<{ locked: boolean }>("select pg_try_advisory_lock($1, $2) as locked", [LOCK_CLASS, LEADER_LOCK]),
  );
  if (locked.rows[0]?.locked !== true) {
    await asking(session.query("select terminate_silent_engine(make_interval(secs => $1))", [SILENT_AFTER_SECONDS]));
    return null;
  }
  const raised = await asking(
    session.query<{ epoch: number }>("select raise_epoch($1, $2, $3, $4, $5, $6, $7) as epoch", [
      candidate.engineId,
      candidate.host,
      process.pid,
      candidate.version,
      candidate.launcher,
      candidate.maxLiveRuns,
      candidate.keyHash,
    ]),
  );
  return raised.rows[0]?.epoch ?? null;
}

/** The leader's sign of life. @throws StaleEpochError */
export async function beat(database: Database, epoch: number): Promise<void> {
  await asking(sql`select beat(${epoch})`.execute(database.db));
}

/** A leader that stops in good order counts as gone at once. @throws StaleEpochError */
export async function stepDown(database: Database, epoch: number): Promise<void> {
  await asking(sql`select step_down(${epoch})`.execute(database.db));
}

/**
 * Says that the engine sleeps: from now on, inserting statements notify. False where a transaction that
 * has inserted is still open: then its end may come without a notification, and the engine must poll.
 */
export async function fallAsleep(session: pg.Client): Promise<boolean> {
  const result = await asking(
    session.query<{ asleep: boolean }>("select pg_try_advisory_lock($1, $2) as asleep", [LOCK_CLASS, ASLEEP_LOCK]),
  );
  return result.rows[0]?.asleep === true;
}

/** Says that the engine is awake: inserting statements need not notify. */
export async function wakeUp(session: pg.Client): Promise<void> {
  await asking(session.query("select pg_advisory_unlock($1, $2)", [LOCK_CLASS, ASLEEP_LOCK]));
}

/** Wakes on every NOTIFY of the one channel. What it carries is never looked at. */
export async function listen(session: pg.Client, wake: () => void): Promise<void> {
  session.on("notification", wake);
  await asking(session.query("listen myzel"));
}
