/** What schema tests share: a database, an epoch to act under, and the engine's own calls. */
import { randomUUID } from "node:crypto";
import type pg from "pg";
import { makeTickets, runToken } from "../../engine/domain/run-token.ts";
import { openDatabase } from "../../engine/store/connection.ts";
import type { Database } from "../../engine/store/connection.ts";
import { claimRuns } from "../../engine/store/dispatch.ts";
import { testDatabase } from "./postgres.ts";
import type { TestDatabase } from "./postgres.ts";

const RUN_KEY = Buffer.alloc(32, 7);

export interface SchemaClient {
  test: TestDatabase;
  pool: pg.Pool;
  /** With the engine's login. */
  engine: Database;
  epoch: number;
  /** Claims until nothing more can be claimed; returns how many. */
  claimAll(limit?: number): Promise<number>;
  insert(task: Partial<Record<"addressee" | "prompt" | "repo_url" | "branch" | "created_by", string>>): Promise<string>;
  /** Settles the live run of this task. */
  settle(taskId: string, outcome?: Record<string, unknown>): Promise<string>;
  status(taskId: string): Promise<string | undefined>;
  liveRun(
    taskId: string,
  ): Promise<{ id: string; slot: number; attempt: number; stop_requested_at: Date | null } | undefined>;
  why(taskId: string): Promise<{ reason: string; explanation: string }>;
  token(runId: string): string;
  close(): Promise<void>;
}

/** A fresh database that this test leads, with `maxLiveRuns` places. */
export async function schemaClient(maxLiveRuns = 100): Promise<SchemaClient> {
  const test = await testDatabase();
  const engine = openDatabase({ url: test.url("engine"), applicationName: "schema test", max: 4 });
  const { pool } = test;
  const raised = await pool.query("select raise_epoch($1, 'test-host', 1, '0', 'process', $2, '\\x00') as epoch", [
    randomUUID(),
    maxLiveRuns,
  ]);
  const epoch = Number(raised.rows[0].epoch);
  // This engine beats no more: on a slow machine it would count as gone in the middle of a test.
  await pool.query("update engine_beat set beat_at = now() + interval '10 minutes'");

  const claimAll = async (limit = 100): Promise<number> => {
    let total = 0;
    for (;;) {
      const tickets = makeTickets(RUN_KEY, limit, Date.now());
      const { to_launch, drained } = await claimRuns(engine, {
        epoch,
        launcher: "process",
        host: "test-host",
        tickets,
      });
      total += to_launch.length;
      if (to_launch.length === 0 && drained === 0) return total;
    }
  };
  const liveRun: SchemaClient["liveRun"] = async (taskId) =>
    (await pool.query("select * from runs where task_id = $1 and finished_at is null", [taskId])).rows[0];

  return {
    test,
    pool,
    engine,
    epoch,
    claimAll,
    liveRun,
    insert: async (task) => {
      const row = { addressee: "worker", prompt: "do it", ...task };
      const columns = Object.keys(row);
      const result = await pool.query(
        `insert into tasks (${columns.join(", ")}) values (${columns.map((_, index) => `$${index + 1}`).join(", ")}) returning id`,
        Object.values(row),
      );
      return result.rows[0].id;
    },
    settle: async (taskId, outcome = { action: "complete", success: true, summary: "done" }) => {
      const run = await liveRun(taskId);
      const result = await pool.query("select settle_run($1, $2, $3) as answer", [epoch, run?.id ?? taskId, outcome]);
      return result.rows[0].answer;
    },
    status: async (taskId) => (await pool.query("select status from tasks where id = $1", [taskId])).rows[0]?.status,
    why: async (taskId) => (await pool.query("select * from why_not_running($1)", [taskId])).rows[0],
    token: (runId) => runToken(RUN_KEY, runId),
    close: async () => {
      await engine.close();
      await test.close();
    },
  };
}
