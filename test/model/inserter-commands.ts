/** What an inserter does: rows in one statement, also with an older created_at, also in a transaction that stays open. */
import { command } from "./command.ts";
import type { QueueCommand } from "./command.ts";
import { newTask } from "./model.ts";
import type { Model, ModelTask } from "./model.ts";

export interface NewTask {
  addressee: string;
  repoUrl: string | null;
  /** How much older than now. */
  ageMs: number;
  /** Decides the order of ids. */
  random: number;
}

export const insert = (tasks: NewTask[]): QueueCommand =>
  command("insert", tasks, async (model, real) => {
    const rows = newTasks(model, tasks);
    await insertRows(real.operator, rows);
    for (const row of rows) model.tasks.set(row.id, row);
  });

/** Rows that say which paths they will change, in the transaction that inserts them. */
export const insertWithPaths = (tasks: (NewTask & { paths: string[] | null })[]): QueueCommand =>
  command("insertWithPaths", tasks, async (model, real) => {
    const rows = newTasks(model, tasks);
    await real.operator.query("begin");
    await insertRows(real.operator, rows);
    for (const [place, row] of rows.entries()) {
      row.paths = tasks[place]?.paths ?? null;
      await real.operator.query("insert into task_options (task_id, paths) values ($1, $2)", [row.id, row.paths]);
      model.tasks.set(row.id, row);
    }
    await real.operator.query("commit");
  });

/** Opens a transaction, inserts and leaves it open; or commits the one that is open. */
export const openOrCommit = (args: { tasks: NewTask[]; rollback: boolean }): QueueCommand =>
  command("openOrCommit", args, async (model, real, { tasks, rollback }) => {
    if (model.uncommitted === null) {
      model.uncommitted = newTasks(model, tasks);
      await real.inserter.query("begin");
      await insertRows(real.inserter, model.uncommitted);
      return;
    }
    await real.inserter.query(rollback ? "rollback" : "commit");
    if (!rollback) for (const row of model.uncommitted) model.tasks.set(row.id, row);
    model.uncommitted = null;
  });

function newTasks(model: Model, tasks: readonly NewTask[]): ModelTask[] {
  return tasks.map(({ addressee, repoUrl, ageMs, random }) => {
    const id = `${random.toString(16).padStart(8, "0")}-0000-4000-8000-${String(model.made++).padStart(12, "0")}`;
    return newTask({ id, addressee, repoUrl, createdAt: model.now - ageMs });
  });
}

async function insertRows(session: { query(text: string, values: unknown[]): Promise<unknown> }, rows: ModelTask[]) {
  await session.query(
    `insert into tasks (id, addressee, prompt, repo_url, created_at)
     select id, addressee, 'do it', repo_url, created_at
     from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[]) row (id, addressee, repo_url, created_at)`,
    [
      rows.map((row) => row.id),
      rows.map((row) => row.addressee),
      rows.map((row) => row.repoUrl),
      rows.map((row) => new Date(row.createdAt).toISOString()),
    ],
  );
}
