/** Pruning goes by an index: a batch reads a few rows whatever the table's size, also with plans made while it was empty. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type pg from "pg";
import { openDatabase } from "../../engine/store/connection.ts";
import type { Database } from "../../engine/store/connection.ts";
import { pruneBatch, pruneLimits } from "../../engine/store/prune.ts";
import type { Prunable } from "../../engine/store/prune.ts";
import { pastRuns } from "../support/history.ts";
import { schemaClient } from "../support/schema-client.ts";

const LIMIT = 50;
/** The row itself, its lock, its deletion, and what each look-up of its task, later runs, transcript and audit rows reads. */
const MOST_READS_PER_ROW = 20;
const KINDS: readonly Prunable[] = ["transcripts", "events", "runs"];

describe("a batch of pruning reads no whole table", () => {
  for (const size of [500, 20_000]) {
    it(`with ${size} runs, their transcripts and audit rows`, async () => {
      const db = await schemaClient();
      // One session of its own, so that its counters can be flushed.
      const pruner = openDatabase({ url: db.test.url("engine"), applicationName: "prune", max: 1 });
      const session = await db.pool.connect();
      try {
        await session.query("vacuum analyze"); // tells the planner that all tables are empty
        for (const what of KINDS) await batch(pruner, what, null); // makes the plans
        await pastRuns(db, { tasks: size * 0.4, daysAgo: 3 }); // kept: each is the newest of its task
        await pastRuns(db, { tasks: size * 0.2, daysAgo: 2, deleted: true, transcriptBytes: 10 });
        await pastRuns(db, { tasks: size * 0.2, attempts: 2, daysAgo: 1, transcriptBytes: 10 });
        for (const what of KINDS) {
          let after: unknown = null;
          for (let count = 0; count < 3; count++) {
            const before = await rowsRead(pruner, session);
            const pruned = await batch(pruner, what, after);
            after = pruned?.next_after ?? null;
            const now = await rowsRead(pruner, session);
            assert.equal(now.sequential, before.sequential, `${what}: rows read by sequential scans`);
            assert.ok(
              now.byIndex - before.byIndex <= LIMIT * MOST_READS_PER_ROW,
              `${what}: ${now.byIndex - before.byIndex} rows read by index for a batch of ${LIMIT}`,
            );
          }
        }
      } finally {
        session.release();
        await pruner.close();
        await db.close();
      }
    });
  }

  it("size limits read as many rows as they keep, not as there are", async () => {
    const db = await schemaClient();
    const pruner = openDatabase({ url: db.test.url("engine"), applicationName: "prune", max: 1 });
    const session = await db.pool.connect();
    try {
      await pastRuns(db, { tasks: 20_000, daysAgo: 3, deleted: true, transcriptBytes: 100 });
      const before = await rowsRead(pruner, session);
      const limits = await pruneLimits(pruner, { maxTranscriptBytes: 20_000, maxRuns: 200 });
      assert.ok(limits.transcripts !== null && limits.runs !== null && limits.events === null);
      const now = await rowsRead(pruner, session);
      assert.equal(now.sequential, before.sequential);
      assert.ok(now.byIndex - before.byIndex <= 1_000, `${now.byIndex - before.byIndex} rows read`);
    } finally {
      session.release();
      await pruner.close();
      await db.close();
    }
  });
});

function batch(pruner: Database, what: Prunable, after: unknown) {
  return pruneBatch(pruner, what, { before: "infinity", limit: LIMIT, after, dryRun: false });
}

/** Rows that have been read so far, of all tables of history and of tasks. */
async function rowsRead(pruner: Database, session: pg.PoolClient): Promise<{ sequential: number; byIndex: number }> {
  await pruner.pool.query("select pg_stat_force_next_flush()");
  await session.query("select pg_stat_force_next_flush()");
  const { rows } = await session.query(
    `select sum(seq_tup_read)::int as sequential, sum(idx_tup_fetch)::int as "byIndex" from pg_stat_user_tables
     where relname in ('tasks', 'runs', 'run_transcripts', 'task_events')`,
  );
  return rows[0];
}
