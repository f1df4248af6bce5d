/** Epics as people file, list, show and stop them: calls of sql/functions/epics.sql and its views. */
import { sql } from "kysely";
import type { Transaction } from "kysely";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";
import type { DB } from "./database.ts";
import { NotFoundError } from "./errors.ts";
import { rehearse } from "./rehearse.ts";

/** Arguments of the SQL function `file_epic`, by its names; what is left out keeps the function's default. */
export interface NewEpic {
  addressee: string;
  prompt: string;
  repo_url?: string | undefined;
  title?: string | undefined;
  idempotency_key?: string | undefined;
  /** By the columns of epics. */
  limits: Record<string, string | number | null>;
}

/** A row of epics. */
export interface EpicRow {
  id: string;
  project: string | null;
  addressee: string;
  title: string;
  repo_url: string | null;
  created_by: string | null;
  state: "active" | "finished" | "failed" | "stopped";
  end_code: string | null;
  summary: string | null;
  created_at: Date;
  started_at: Date | null;
  ended_at: Date | null;
  max_tasks: number;
  max_tasks_per_run: number;
  max_depth: number;
  max_failures_in_a_row: number;
  max_runs: number;
  max_live_runs: number;
  max_tokens: number | null;
  max_cost_usd: number | null;
  /** In Postgres's words: `7 days`. */
  max_wall_time: string;
  tasks: number;
  runs: number;
  tokens: number;
  cost_usd: number;
  plan_branch: string | null;
  plan_commit: string | null;
}

/** A row of epic_overview. */
export interface EpicOverview extends EpicRow {
  pending: number;
  running: number;
  completed: number;
  /** Those of the completed ones that did not succeed. */
  failed: number;
  /** A sentence; null where it has ended. */
  waits_for: string | null;
}

/** A row of epic_tasks. */
export interface EpicTask {
  epic: string;
  id: string;
  parent_id: string | null;
  depth: number;
  kind: string | null;
  step: string | null;
  addressee: string;
  status: string;
  branch: string | null;
  /** Its first line. */
  prompt: string;
  created_by: string | null;
  created_at: Date;
  started_at: Date | null;
  completed_at: Date | null;
  success: boolean | null;
  code: string | null;
  cost_usd: number;
  runs: number;
}

export interface ShownEpic extends EpicOverview {
  /** Of the task that it was filed as; null where that is gone. */
  prompt: string | null;
  /** What the engine had to say to Green, oldest first. */
  notes: { at: Date; addressee: string; note: string }[];
  /** Oldest first. */
  task_list: EpicTask[];
}

/**
 * Files an epic; `isNew` is false where the idempotency key had made it before.
 * @throws RefusedError (content, limits, an addressee that is no Green)
 */
export async function fileEpic(database: Database, epic: NewEpic): Promise<{ epic: EpicRow; isNew: boolean }> {
  return await asking(
    database.db.transaction().execute(async (transaction) => {
      const known = await epicOfKey(transaction, epic.idempotency_key);
      const filed = await callFileEpic(transaction, epic);
      return { epic: filed, isNew: known !== filed.id };
    }),
  );
}

/** The row that `fileEpic` would make, judged by the database; nothing is stored. @throws as `fileEpic` */
export async function rehearseEpic(database: Database, epic: NewEpic): Promise<EpicRow> {
  return await rehearse(database, (transaction) => callFileEpic(transaction, epic));
}

/** Newest first: the active ones, or all; `besides`: these whatever their state. */
export async function listEpics(
  database: Database,
  which: { all: boolean; besides?: readonly string[] },
): Promise<EpicOverview[]> {
  const result = await asking(
    sql<EpicOverview>`
      select o.*, o.max_wall_time::text as max_wall_time from epic_overview o
      where ${which.all} or o.state = 'active' or o.id = any (${which.besides ?? []}::uuid[])
      order by o.created_at desc, o.id desc`.execute(database.db),
  );
  return result.rows;
}

/** As it was at one moment. @throws NotFoundError where it is gone */
export async function showEpic(database: Database, id: string): Promise<ShownEpic> {
  return await asking(
    database.db
      .transaction()
      .setIsolationLevel("repeatable read")
      .execute(async (transaction) => {
        const overview = await sql<EpicOverview & { prompt: string | null }>`
          select o.*, o.max_wall_time::text as max_wall_time, (select t.prompt from tasks t where t.id = o.id) as prompt
          from epic_overview o where o.id = ${id}`.execute(transaction);
        const [epic] = overview.rows;
        if (epic === undefined) throw new NotFoundError(`There is no epic ${id}.`);
        const tasks = await sql<EpicTask>`
          select * from epic_tasks where epic = ${id} order by created_at, id`.execute(transaction);
        const notes = await transaction
          .selectFrom("epic_notes")
          .select(["at", "addressee", "note"])
          .where("epic", "=", id)
          .orderBy("id")
          .execute();
        return { ...epic, notes, task_list: tasks.rows };
      }),
  );
}

/** How it is, in one look. Null where it is gone. */
export async function epicProgress(database: Database, id: string): Promise<EpicOverview | null> {
  const result = await asking(
    sql<EpicOverview>`
      select o.*, o.max_wall_time::text as max_wall_time from epic_overview o where o.id = ${id}`.execute(database.db),
  );
  return result.rows[0] ?? null;
}

/** Stops it with everything under it; `before` is the state it had. @throws NotFoundError */
export async function stopEpic(
  database: Database,
  id: string,
  reason: string | undefined,
): Promise<{ epic: EpicRow; before: string }> {
  const before = await asking(database.db.selectFrom("epics").select("state").where("id", "=", id).executeTakeFirst());
  const stopped = await asking(
    sql<EpicRow>`
      select e.*, e.max_wall_time::text as max_wall_time from stop_epic(${id}, ${reason ?? null}) e`.execute(
      database.db,
    ),
  );
  const epic = onlyRow(stopped.rows);
  return { epic, before: before?.state ?? epic.state };
}

async function callFileEpic(transaction: Transaction<DB>, epic: NewEpic): Promise<EpicRow> {
  const given = Object.entries({ ...epic, limits: JSON.stringify(epic.limits) }).filter(
    ([, value]) => value !== undefined,
  );
  const named = given.map(([name, value]) => sql`${sql.ref(name)} => ${value}`);
  const filed = await sql<EpicRow>`
    select e.*, e.max_wall_time::text as max_wall_time from file_epic(${sql.join(named)}) e`.execute(transaction);
  return onlyRow(filed.rows);
}

async function epicOfKey(transaction: Transaction<DB>, key: string | undefined): Promise<string | null> {
  if (key === undefined) return null;
  const row = await transaction
    .selectFrom("task_options")
    .select("task_id")
    .where("idempotency_key", "=", key)
    .executeTakeFirst();
  return row?.task_id ?? null;
}

function onlyRow(rows: readonly EpicRow[]): EpicRow {
  const [row] = rows;
  if (row === undefined) throw new Error("no epic came back");
  return row;
}
