/** Tasks as people list and file them. */
import { sql } from "kysely";
import type { Selectable } from "kysely";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";
import type { Tasks } from "./database.ts";
import { rehearse } from "./rehearse.ts";

export type TaskRow = Selectable<Tasks>;

/** Arguments of the SQL function `enqueue`, by its names; what is left out keeps the function's default. */
export interface NewTask {
  addressee: string;
  prompt: string;
  repo_url?: string | undefined;
  branch?: string | undefined;
  base_branch?: string | undefined;
  created_by?: string | undefined;
  profile?: string | undefined;
  model?: string | undefined;
  effort?: string | undefined;
  idempotency_key?: string | undefined;
  kind?: string | undefined;
}

/** What a list may be cut to: the values of `status`, and how completed tasks ended. */
export const TASK_STATES = ["pending", "running", "completed", "succeeded", "failed"] as const;
export type TaskState = (typeof TASK_STATES)[number];

export interface TaskFilter {
  status?: TaskState | undefined;
  addressee?: string | undefined;
  /** Undefined: all. */
  limit?: number | undefined;
}

/** Newest first. */
export async function listTasks(database: Database, filter: TaskFilter): Promise<TaskRow[]> {
  let query = database.db.selectFrom("tasks").selectAll().orderBy("created_at", "desc").orderBy("id", "desc");
  const { status } = filter;
  if (status === "succeeded" || status === "failed") {
    const success = sql<boolean>`coalesce(result ->> 'success' = 'true', false)`;
    query = query.where("status", "=", "completed").where(success, "=", status === "succeeded");
  } else if (status !== undefined) query = query.where("status", "=", status);
  if (filter.addressee !== undefined) query = query.where("addressee", "=", filter.addressee);
  if (filter.limit !== undefined) query = query.limit(filter.limit);
  return await asking(query.execute());
}

/**
 * Files a task; `isNew` is false where the idempotency key had made it before.
 * @throws RefusedError, NotFoundError (profile)
 */
export async function enqueueTask(database: Database, task: NewTask): Promise<{ task: TaskRow; isNew: boolean }> {
  const known = await taskOfKey(database, task.idempotency_key);
  const filed = await asking(callEnqueue(task).execute(database.db));
  return { task: onlyRow(filed.rows), isNew: known === null || known !== filed.rows[0]?.id };
}

/** The row that `enqueueTask` would make, judged by the database; nothing is stored. @throws as `enqueueTask` */
export async function rehearseEnqueue(database: Database, task: NewTask): Promise<TaskRow> {
  return await rehearse(database, async (transaction) => onlyRow((await callEnqueue(task).execute(transaction)).rows));
}

function callEnqueue(task: NewTask) {
  const given = Object.entries(task).filter(([, value]) => value !== undefined);
  const named = given.map(([name, value]) => sql`${sql.ref(name)} => ${value}`);
  return sql<TaskRow>`select * from enqueue(${sql.join(named)})`;
}

async function taskOfKey(database: Database, key: string | undefined): Promise<string | null> {
  if (key === undefined) return null;
  const row = await asking(
    database.db.selectFrom("task_options").select("task_id").where("idempotency_key", "=", key).executeTakeFirst(),
  );
  return row?.task_id ?? null;
}

function onlyRow(rows: readonly TaskRow[]): TaskRow {
  const [row] = rows;
  if (row === undefined) throw new Error("enqueue returned no row");
  return row;
}
