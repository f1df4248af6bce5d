/** Hot statements go by an index, on a small table and a large one, also with plans that were made while it was empty. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type pg from "pg";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";

const SHAPES = {
  "one addressee with everything": "'one'",
  "an addressee for each task": "'w' || i",
};

describe("claiming and settling read no whole table", () => {
  for (const size of [100, 20_000]) {
    for (const [shape, addressee] of Object.entries(SHAPES)) {
      it(`with ${size} tasks, ${shape}`, async () => {
        const db = await schemaClient(1_000);
        // One session settles and reads the counters; the claims have one of their own.
        const session = await db.pool.connect();
        try {
          await session.query("vacuum analyze"); // tells the planner that all tables are empty
          await db.claimAll(); // makes the plans
          await session.query(
            `insert into tasks (addressee, prompt) select ${addressee}, 'p' from generate_series(1, $1) i`,
            [size],
          );
          await db.claimAll();
          for (let round = 0; round < 5; round++) {
            const { rows } = await session.query(
              "select id from runs where finished_at is null order by started_at limit 5",
            );
            const before = await sequentialReads(db, session);
            for (const { id } of rows) await session.query("select settle_run($1, $2, $3)", [db.epoch, id, SUCCESS]);
            await db.claimAll(5);
            assert.deepEqual(
              await sequentialReads(db, session),
              before,
              `rows read by sequential scans in round ${round}`,
            );
          }
        } finally {
          session.release();
          await db.close();
        }
      });
    }
  }
});

const SUCCESS = { action: "complete", success: true, summary: "done" };

/** Rows that sequential scans have read so far, a table. */
async function sequentialReads(db: SchemaClient, session: pg.PoolClient): Promise<Record<string, number>> {
  await db.engine.pool.query("select pg_stat_force_next_flush()");
  await session.query("select pg_stat_force_next_flush()");
  const { rows } = await session.query(
    "select relname, seq_tup_read::int as read from pg_stat_user_tables where relname in ('tasks', 'runs', 'lanes', 'task_options')",
  );
  return Object.fromEntries(rows.map((row) => [row.relname, row.read]));
}
