/** Steering for people: calls of sql/functions/people.sql and why_not_running.sql. */
import { sql } from "kysely";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";
import type { TaskRow } from "./tasks.ts";

/** Why a task is where it is: a code and a sentence. */
export interface Why {
  reason: string;
  explanation: string;
}

/**
 * Runs a task again; `note` is added to the end of its prompt. `continue`: from what its newest attempt left unpushed.
 * @throws RefusedError, NotFoundError
 */
export async function rescheduleTask(
  database: Database,
  id: string,
  how: { note?: string | undefined; continue?: boolean } = {},
): Promise<TaskRow> {
  return await oneTask(
    sql<TaskRow>`select * from reschedule(${id}, ${how.note ?? null}, ${how.continue ?? false})`.execute(database.db),
    id,
  );
}

/** Stops or cancels; `before` is the status it had. @throws NotFoundError */
export async function stopTask(
  database: Database,
  id: string,
  reason: string | undefined,
): Promise<{ task: TaskRow; before: string }> {
  const before = await asking(database.db.selectFrom("tasks").select("status").where("id", "=", id).executeTakeFirst());
  const task = await oneTask(sql<TaskRow>`select * from stop(${id}, ${reason ?? null})`.execute(database.db), id);
  return { task, before: before?.status ?? task.status };
}

/** Lets a pending task go before all others of its addressee. @throws RefusedError, NotFoundError */
export async function moveFirst(database: Database, id: string): Promise<TaskRow> {
  return await oneTask(sql<TaskRow>`select * from move_first(${id})`.execute(database.db), id);
}

/** What it waits for; null for an unknown id. */
export async function whyNotRunning(database: Database, id: string): Promise<Why | null> {
  const result = await asking(sql<Why>`select reason, explanation from why_not_running(${id})`.execute(database.db));
  return result.rows[0] ?? null;
}

/** Lets nothing start: of one addressee, or nothing at all. What runs goes on. */
export async function pauseDispatch(database: Database, addressee: string | undefined): Promise<void> {
  await asking(sql`select pause(${addressee ?? null})`.execute(database.db));
}

/** Takes a pause back; false where there was none. */
export async function resumeDispatch(database: Database, addressee: string | undefined): Promise<boolean> {
  const was = addressee === undefined ? await enginePaused(database) : await addresseePaused(database, addressee);
  await asking(sql`select resume(${addressee ?? null})`.execute(database.db));
  return was;
}

/** Nothing starts at all. */
export async function enginePaused(database: Database): Promise<boolean> {
  const row = await asking(database.db.selectFrom("engine_state").select("paused").executeTakeFirst());
  return row?.paused === true;
}

async function addresseePaused(database: Database, addressee: string): Promise<boolean> {
  const row = await asking(
    database.db.selectFrom("addressees").select("paused").where("addressee", "=", addressee).executeTakeFirst(),
  );
  return row?.paused === true;
}

/** Whether there is a task for it, of whatever status. */
export async function hasTasks(database: Database, addressee: string): Promise<boolean> {
  const row = await asking(
    database.db.selectFrom("tasks").select("id").where("addressee", "=", addressee).limit(1).executeTakeFirst(),
  );
  return row !== undefined;
}

/** Wakes the engine, so that it looks again at what lies outside of the database, such as a stored login. */
export async function wakeEngine(database: Database): Promise<void> {
  await asking(sql`notify myzel`.execute(database.db));
}

async function oneTask(query: Promise<{ rows: TaskRow[] }>, id: string): Promise<TaskRow> {
  const [task] = (await asking(query)).rows;
  if (task === undefined) throw new Error(`no row came back for task ${id}`);
  return task;
}
