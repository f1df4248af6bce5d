/** What the tests of epics share: a Green and its epic in a fresh database, and what settles their runs. */
import type pg from "pg";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";

export const GREEN = "project-mgr-web";
export const REPO = "https://host/web.git";

/** A task as the outbox holds it; what is left out is null. */
export type Child = Record<string, unknown>;

export interface EpicStage {
  db: SchemaClient;
  /** Files an epic; returns its id. */
  file(limits?: Record<string, unknown>, prompt?: string): Promise<string>;
  epic(id: string): Promise<pg.QueryResultRow>;
  /** All tasks of an epic with their options, oldest first. */
  tasks(epic: string): Promise<pg.QueryResultRow[]>;
  /** The pending wake-ups of an epic. */
  wakeUps(epic: string): Promise<pg.QueryResultRow[]>;
  /** Claims what can be, then ends the run of the oldest running task of this addressee. */
  run(addressee: string, outcome: Record<string, unknown>): Promise<string>;
  /** Green's run: creates these tasks. */
  plan(children: Child[], more?: Record<string, unknown>): Promise<string>;
  /** A Red's run: ends the task of this prompt. */
  work(prompt: string, outcome?: Record<string, unknown>): Promise<string>;
}

export async function epicStage(): Promise<EpicStage> {
  const db = await schemaClient();
  const one = async (text: string, values: unknown[]) => (await db.pool.query(text, values)).rows[0];
  const settleWhere = async (condition: string, value: string, outcome: Record<string, unknown>): Promise<string> => {
    await db.claimAll();
    const task = await one(
      `select id from tasks where status = 'running' and ${condition} order by created_at limit 1`,
      [value],
    );
    if (task === undefined) throw new Error(`nothing runs where ${condition} (${value})`);
    await db.settle(task.id, { action: "complete", success: true, summary: "done", ...outcome });
    return task.id;
  };
  const run: EpicStage["run"] = (addressee, outcome) => settleWhere("addressee = $1", addressee, outcome);
  return {
    db,
    run,
    file: async (limits = {}, prompt = "Build the shop.") =>
      (await one("select id from file_epic($1, $2, $3, limits => $4)", [GREEN, prompt, REPO, limits])).id,
    epic: (id) => one("select * from epic_overview where id = $1", [id]),
    tasks: async (epic) =>
      (
        await db.pool.query(
          `select t.*, o.kind, o.step, o.depth, o.merge_branch, o.base_branch, o.paths, o.group_id
           from task_options o join tasks t on t.id = o.task_id where o.epic = $1 order by t.created_at, t.id`,
          [epic],
        )
      ).rows,
    wakeUps: async (epic) =>
      (
        await db.pool.query(
          `select t.*, o.depth from task_options o join tasks t on t.id = o.task_id
           where o.epic = $1 and o.kind = 'wake_up' and t.status = 'pending' order by t.created_at`,
          [epic],
        )
      ).rows,
    plan: (children, more = {}) => run(GREEN, { tasks: children, ...more }),
    work: (prompt, outcome = {}) => settleWhere("prompt = $1", prompt, outcome),
  };
}

export const failed = (code = "agent_error", error = "It broke.") => ({ success: false, failure_code: code, error });
