/** One task with everything that people want to see of it. */
import { sql } from "kysely";
import type { Selectable } from "kysely";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";
import type { Runs, TaskOptions } from "./database.ts";
import { NotFoundError } from "./errors.ts";
import type { Why } from "./steer.ts";
import type { TaskRow } from "./tasks.ts";

/** What people see of a run: all but the token's hash and the reports, which the result is made of. */
const RUN_COLUMNS = [
  "id",
  "task_id",
  "addressee",
  "slot",
  "attempt",
  "retries",
  "launcher",
  "host",
  "job_name",
  "pod_name",
  "profile",
  "credential",
  "repo_url",
  "project",
  "epic",
  "paths",
  "started_at",
  "launched_at",
  "settled_at",
  "waiting_for",
  "finished_at",
  "stop_requested_at",
  "stop_reason",
  "success",
  "failure_code",
  "error",
  "exit_code",
  "retry_at",
  "branch",
  "commit_sha",
  "files_changed",
  "cost_usd",
  "input_tokens",
  "output_tokens",
  "cache_read_tokens",
  "cache_creation_tokens",
  "turns",
  "session_id",
  "model",
] as const satisfies readonly (keyof Runs)[];

/** All of task_options but whose row it is. */
const OPTION_COLUMNS = [
  "profile",
  "model",
  "effort",
  "base_branch",
  "idempotency_key",
  "kind",
  "epic",
  "depth",
  "step",
  "paths",
  "group_id",
  "pull_request",
  "merge_branch",
  "on_approval",
  "continue_run",
] as const satisfies readonly (keyof TaskOptions)[];

export type RunRow = Pick<Selectable<Runs>, (typeof RUN_COLUMNS)[number]>;

export interface ShownTask extends TaskRow {
  /** What `enqueue` was told besides; null where it was nothing. */
  options: Omit<Selectable<TaskOptions>, "task_id"> | null;
  why: Why | null;
  /** Oldest first. */
  runs: RunRow[];
}

/** @throws NotFoundError where it is gone */
export async function showTask(database: Database, id: string): Promise<ShownTask> {
  const [task, options, why, runs] = await Promise.all([
    asking(database.db.selectFrom("tasks").selectAll().where("id", "=", id).executeTakeFirst()),
    asking(database.db.selectFrom("task_options").select(OPTION_COLUMNS).where("task_id", "=", id).executeTakeFirst()),
    asking(sql<Why>`select reason, explanation from why_not_running(${id})`.execute(database.db)),
    runsOf(database, id),
  ]);
  if (task === undefined) throw new NotFoundError(`There is no task ${id} any more.`);
  return { ...task, options: options ?? null, why: why.rows[0] ?? null, runs };
}

/** All runs of a task, oldest first; they outlive it. */
export async function runsOf(database: Database, taskId: string): Promise<RunRow[]> {
  return await asking(
    database.db.selectFrom("runs").select(RUN_COLUMNS).where("task_id", "=", taskId).orderBy("attempt").execute(),
  );
}

/** What changes while a task goes its way, in one look. */
export interface Progress extends Why {
  status: string;
  result: Record<string, unknown> | null;
  /** Of the live run; null where there is none. */
  attempt: number | null;
}

/** Null where the task is gone. */
export async function taskProgress(database: Database, id: string): Promise<Progress | null> {
  const result = await asking(
    sql<Progress>`
      select t.status, t.result, w.reason, w.explanation, r.attempt
      from tasks t
      cross join lateral why_not_running(t.id) w
      left join runs r on r.task_id = t.id and r.finished_at is null
      where t.id = ${id}`.execute(database.db),
  );
  return result.rows[0] ?? null;
}
