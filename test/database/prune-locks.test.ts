/** Pruning waits for nobody, and nobody waits for it. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type pg from "pg";
import { EVERYTHING, prune } from "../../engine/cron/prune.ts";
import { historySize, pastRuns } from "../support/history.ts";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";

const DAY_MS = 86_400_000;
/** Far more than a round takes here, far less than somebody who waits for a lock would take. */
const SOON_MS = 30_000;

describe("pruning beside others", () => {
  let db: SchemaClient;
  let other: pg.PoolClient;
  beforeEach(async () => {
    db = await schemaClient();
    other = await db.pool.connect();
  });
  afterEach(async () => {
    await other.query("rollback");
    other.release();
    await db.close();
  });

  const round = () =>
    prune(db.engine, {
      what: EVERYTHING,
      keep: { keepTranscriptsMs: DAY_MS, keepRunsMs: DAY_MS },
      signal: AbortSignal.timeout(SOON_MS),
    });

  it("leaves rows that somebody has locked, prunes the others, and comes back for them", async () => {
    await pastRuns(db, { tasks: 10, daysAgo: 3, deleted: true, transcriptBytes: 10 });
    await other.query("begin");
    await other.query("select from run_transcripts order by stored_at limit 1 for update");
    await other.query("select from runs order by finished_at desc limit 2 for update");
    await other.query(
      "select from task_events where id in (select id from task_events order by id limit 3 offset 5) for update",
    );
    const first = await round();
    assert.equal(first.complete, true);
    // The run of the locked transcript stays too.
    assert.deepEqual(await historySize(db), { transcripts: 1, events: 3, runs: 3 });
    await other.query("rollback");
    await round();
    assert.deepEqual(await historySize(db), { transcripts: 0, events: 0, runs: 0 });
  });

  it("gives up soon where a whole table is locked, and says that more may be left", async () => {
    await pastRuns(db, { tasks: 10, daysAgo: 3, deleted: true, transcriptBytes: 10 });
    for (const table of ["runs", "run_transcripts", "task_events"]) {
      await other.query("begin");
      await other.query(`lock table ${table} in share mode`); // as CREATE INDEX has it
      assert.equal((await round()).complete, false, table);
      await other.query("rollback");
    }
    assert.equal((await round()).complete, true);
    assert.deepEqual(await historySize(db), { transcripts: 0, events: 0, runs: 0 });
  });

  it("holds up no insert, claim, settle or hand edit while a batch is open", async () => {
    const [retried = ""] = await pastRuns(db, { tasks: 20, attempts: 2, daysAgo: 3, transcriptBytes: 10 });
    const live = await db.insert({ addressee: "past" });
    await db.claimAll();
    await other.query("begin");
    for (const what of ["transcripts", "events", "runs"]) {
      const { rows } = await other.query(`select pruned::int from prune_${what}(now(), 1000, null, false)`);
      assert.ok(rows[0].pruned >= 20, what);
    }
    const begin = performance.now();
    const session = await db.pool.connect();
    // With the batch's transaction open, whatever would wait for it fails.
    await session.query("set lock_timeout = '1s'");
    try {
      await session.query("insert into tasks (addressee, prompt) values ('past', 'p'), ('new', 'p')");
      await session.query("select reschedule($1)", [retried]);
      await session.query("update tasks set status = 'pending' where addressee = 'past' and status = 'completed'");
      await session.query("delete from tasks where addressee = 'past' and status = 'pending' and id <> $1", [retried]);
      const run = await db.liveRun(live);
      const settled = await session.query("select settle_run($1, $2, $3) as answer", [db.epoch, run?.id, SUCCESS]);
      assert.equal(settled.rows[0].answer, "settled");
      const claimed = await session.query(
        "select jsonb_array_length(to_launch) as runs from claim_runs($1, 'process', 'h', 2, array[gen_random_uuid(), gen_random_uuid()], array['\\x00'::bytea, '\\x01'])",
        [db.epoch],
      );
      assert.equal(claimed.rows[0].runs, 2);
      const { rows: attempts } = await session.query("select max(attempt) as newest from runs where task_id = $1", [
        retried,
      ]);
      assert.equal(attempts[0].newest, 3);
      assert.ok(performance.now() - begin < SOON_MS);
    } finally {
      session.release(true);
    }
  });

  it("two rounds at once prune each row once", async () => {
    await pastRuns(db, { tasks: 2_000, daysAgo: 3, deleted: true, transcriptBytes: 10 });
    const rounds = await Promise.all([round(), round()]);
    const sum = (what: "transcripts" | "runs") => rounds.reduce((total, pruned) => total + pruned[what], 0);
    assert.equal(sum("transcripts"), 2_000);
    assert.equal(sum("runs"), 2_000);
    assert.deepEqual(await historySize(db), { transcripts: 0, events: 0, runs: 0 });
  });
});

const SUCCESS = { action: "complete", success: true, summary: "done" };
