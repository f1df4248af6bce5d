/** Pruning: what goes, by age and by size, and what never does. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { EVERYTHING, prune } from "../../engine/cron/prune.ts";
import type { PruneRound } from "../../engine/cron/prune.ts";
import { openDatabase } from "../../engine/store/connection.ts";
import { pruneBatch } from "../../engine/store/prune.ts";
import type { KeepLimits } from "../../engine/store/prune.ts";
import { historySize, pastRuns } from "../support/history.ts";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";

const DAY_MS = 86_400_000;
const FAR_AWAY = "infinity";

describe("pruning", () => {
  let db: SchemaClient;
  beforeEach(async () => {
    db = await schemaClient();
  });
  afterEach(() => db.close());

  const round = (keep: KeepLimits, more: Partial<PruneRound> = {}) =>
    prune(db.engine, { what: EVERYTHING, keep, signal: new AbortController().signal, ...more });
  const attemptsOf = async (taskId: string) =>
    (await db.pool.query("select attempt from runs where task_id = $1 order by attempt", [taskId])).rows.map(
      (row) => row.attempt,
    );

  it("transcripts go by their age, the runs stay", async () => {
    await pastRuns(db, { tasks: 3, daysAgo: 40, transcriptBytes: 100 });
    await pastRuns(db, { tasks: 2, daysAgo: 10, transcriptBytes: 100 });
    const pruned = await round({ keepTranscriptsMs: 30 * DAY_MS });
    assert.deepEqual(pruned, { transcripts: 3, transcript_bytes: 300, events: 0, runs: 0, complete: true });
    assert.deepEqual(await historySize(db), { transcripts: 2, events: 10, runs: 5 });
    assert.equal((await round({ keepTranscriptsMs: 30 * DAY_MS })).transcripts, 0, "nothing is left to do");
  });

  it("transcripts go by their size in all, oldest first, whatever their age", async () => {
    await pastRuns(db, { tasks: 10, daysAgo: 3, transcriptBytes: 50_000 });
    await pastRuns(db, { tasks: 10, daysAgo: 2, transcriptBytes: 30_000 });
    // 300,000 bytes of the younger ones and three of the older ones.
    const pruned = await round({ maxTranscriptBytes: 499_999 });
    assert.deepEqual(pruned, { transcripts: 7, transcript_bytes: 350_000, events: 0, runs: 0, complete: true });
    assert.equal((await round({ maxTranscriptBytes: 499_999 })).transcripts, 0);
    assert.equal((await round({ maxTranscriptBytes: 450_000 })).transcripts, 0, "what fits exactly stays");
    assert.equal((await round({ maxTranscriptBytes: 29_999 })).transcripts, 13, "not even the youngest fits");
  });

  it("what a run left unpushed counts and goes with its transcript, and stays while its task is not completed", async () => {
    await pastRuns(db, { tasks: 2, daysAgo: 40, transcriptBytes: 100 });
    await db.pool.query(
      `insert into run_work (run_id, bundle, branch, head_sha)
       select id, convert_to(repeat('x', 1000), 'UTF8'), 'b', 'h' from runs`,
    );
    await db.pool.query(
      `update tasks set status = 'pending', started_at = null, completed_at = null, result = null, worker_pod = null
       where id = (select task_id from runs order by id limit 1)`,
    );
    const keep = { keepTranscriptsMs: 30 * DAY_MS };
    assert.deepEqual(await round(keep), {
      transcripts: 2,
      transcript_bytes: 1200,
      events: 0,
      runs: 0,
      complete: true,
    });
    const { rows } = await db.pool.query(
      "select status from run_work join runs on id = run_id join tasks t on t.id = task_id",
    );
    assert.deepEqual(rows, [{ status: "pending" }]);
  });

  it("runs go by their age, with their transcripts and the audit rows that name them", async () => {
    await pastRuns(db, { tasks: 3, attempts: 2, daysAgo: 400, deleted: true, transcriptBytes: 10 });
    await pastRuns(db, { tasks: 3, daysAgo: 300, deleted: true, transcriptBytes: 10 });
    const { runs, complete } = await round({ keepRunsMs: 365 * DAY_MS }, { what: ["runs"] });
    assert.deepEqual([runs, complete], [6, true]);
    assert.deepEqual(await historySize(db), { transcripts: 3, events: 6, runs: 3 });
  });

  it("runs go by their number, oldest first; live runs are not counted", async () => {
    await pastRuns(db, { tasks: 10, daysAgo: 3, deleted: true });
    await db.insert({});
    await db.claimAll();
    assert.equal((await round({ maxRuns: 10 })).runs, 0);
    assert.equal((await round({ maxRuns: 4 })).runs, 6);
    assert.equal((await round({ maxRuns: 4 })).runs, 0);
    assert.equal((await historySize(db)).runs, 5);
    assert.equal((await round({ maxRuns: 1 })).runs, 3);
  });

  it("the newest run of a task that exists stays, so that attempts go on rising", async () => {
    const [kept = "", retried = ""] = await pastRuns(db, { tasks: 2, attempts: 3, daysAgo: 400 });
    assert.equal((await round({ keepRunsMs: DAY_MS, maxRuns: 1 })).runs, 4);
    assert.deepEqual(await attemptsOf(kept), [3]);
    await db.pool.query("select reschedule($1)", [retried]);
    await db.claimAll();
    assert.deepEqual(await attemptsOf(retried), [3, 4]);
    assert.equal((await round({ keepRunsMs: DAY_MS })).runs, 0, "all runs of a task that is not completed stay");
    await db.settle(retried);
    assert.equal((await round({ keepRunsMs: DAY_MS })).runs, 1);
    assert.deepEqual(await attemptsOf(retried), [4]);
    await db.pool.query("delete from tasks");
    assert.equal((await round({ keepRunsMs: DAY_MS })).runs, 1, "of a deleted task none stays");
    assert.deepEqual([await attemptsOf(kept), await attemptsOf(retried)], [[], [4]], "but one that is young");
  });

  it("a task that waits for its next attempt keeps what that needs, and says the same of its wait", async () => {
    const task = await db.insert({});
    await db.claimAll();
    const run = await db.liveRun(task);
    await db.pool.query('update runs set announced = \'{"commit_sha": "c"}\' where id = $1', [run?.id]);
    const infrastructure = { action: "requeue", success: false, failure_code: "lost", error: "e" };
    await db.settle(task, { ...infrastructure, retry_after_seconds: 0 });
    await db.claimAll();
    await db.settle(task, { ...infrastructure, retry_after_seconds: 3600 });
    await db.pool.query("update runs set finished_at = finished_at - interval '2 years'");
    const before = (await db.why(task)).reason;
    assert.equal(before, "retry");
    assert.equal((await round({ keepRunsMs: DAY_MS, maxRuns: 1 })).runs, 0);
    assert.equal((await db.why(task)).reason, before);
    await db.pool.query("update runs set retry_at = now() where retry_at is not null");
    await db.pool.query("select sweep_lanes()");
    assert.equal(await db.claimAll(), 1);
    const third = (await db.liveRun(task))?.id ?? "";
    const { rows } = await db.pool.query("select load_brief($1, $2, 'pod') as brief", [third, db.token(third)]);
    assert.deepEqual([rows[0].brief.attempt, rows[0].brief.announced], [3, { commit_sha: "c" }]);
  });

  it("a live run and its transcript stay, however old", async () => {
    const task = await db.insert({});
    await db.claimAll();
    const run = (await db.liveRun(task))?.id ?? "";
    await db.pool.query("update runs set started_at = started_at - interval '2 years'");
    await db.pool.query(
      "insert into run_transcripts (run_id, content, raw_bytes, truncated, stored_at) values ($1, 'x', 1, false, now() - interval '1 year')",
      [run],
    );
    await round({ keepTranscriptsMs: DAY_MS, maxTranscriptBytes: 1, keepRunsMs: DAY_MS, maxRuns: 1 });
    const { transcripts, runs } = await historySize(db);
    assert.deepEqual([transcripts, runs], [1, 1]);
  });

  it("audit rows go by the age of runs, whatever their task", async () => {
    const [task] = await pastRuns(db, { tasks: 1500, daysAgo: 400 });
    await db.pool.query("select reschedule($1)", [task]);
    assert.deepEqual(await round({ keepRunsMs: 365 * DAY_MS }), {
      transcripts: 0,
      transcript_bytes: 0,
      events: 3000,
      runs: 0,
      complete: true,
    });
    const { rows } = await db.pool.query("select event from task_events");
    assert.deepEqual(rows, [{ event: "rescheduled" }]);
  });

  it("a dry run counts what a round then prunes, and changes nothing", async () => {
    await pastRuns(db, { tasks: 300, attempts: 2, daysAgo: 400, transcriptBytes: 10 });
    await pastRuns(db, { tasks: 300, daysAgo: 400, deleted: true });
    await pastRuns(db, { tasks: 30, daysAgo: 1, transcriptBytes: 10 });
    const keep = { keepTranscriptsMs: 30 * DAY_MS, keepRunsMs: 365 * DAY_MS, maxRuns: 400 };
    const before = await historySize(db);
    const counted = await round(keep, { dryRun: true });
    assert.deepEqual(await historySize(db), before);
    assert.deepEqual(counted, { transcripts: 600, transcript_bytes: 6000, events: 1800, runs: 600, complete: true });
    assert.deepEqual(await round(keep), counted);
    assert.deepEqual(await historySize(db), { transcripts: 30, events: 60, runs: 330 });
  });

  it("without limits, or with such as are never reached, nothing goes", async () => {
    await pastRuns(db, { tasks: 3, daysAgo: 4000, deleted: true, transcriptBytes: 10 });
    const nothing = { transcripts: 0, transcript_bytes: 0, events: 0, runs: 0, complete: true };
    assert.deepEqual(await round({}), nothing);
    const ages = 1e8 * DAY_MS;
    const numbers = Number.MAX_SAFE_INTEGER;
    const far = { keepTranscriptsMs: ages, maxTranscriptBytes: numbers, keepRunsMs: ages, maxRuns: numbers };
    assert.deepEqual(await round(far), nothing);
  });

  it("runs and transcripts of one instant go over the borders of batches, each once", async () => {
    await pastRuns(db, { tasks: 20, daysAgo: 3, deleted: true, transcriptBytes: 10 });
    await db.pool.query("update runs set finished_at = now(); update run_transcripts set stored_at = now()");
    for (const what of ["transcripts", "runs"] as const) {
      let after: unknown = null;
      const counts: number[] = [];
      do {
        const batch = await pruneBatch(db.engine, what, { before: FAR_AWAY, limit: 7, after, dryRun: false });
        counts.push(batch?.pruned ?? 0);
        after = batch?.next_after ?? null;
      } while (after !== null);
      assert.deepEqual(counts, [7, 7, 6], what);
    }
  });

  it("a batch of big transcripts is a small one, so that it stays short", async () => {
    await pastRuns(db, { tasks: 3, daysAgo: 3, deleted: true, transcriptBytes: 34_000_000 });
    const first = await pruneBatch(db.engine, "transcripts", {
      before: FAR_AWAY,
      limit: 200,
      after: null,
      dryRun: true,
    });
    assert.deepEqual([first?.pruned, first?.bytes], [2, 68_000_000]);
    const runs = await pruneBatch(db.engine, "runs", { before: FAR_AWAY, limit: 200, after: null, dryRun: false });
    assert.equal(runs?.pruned, 2);
    const rest = await pruneBatch(db.engine, "runs", {
      before: FAR_AWAY,
      limit: 200,
      after: runs?.next_after,
      dryRun: false,
    });
    assert.deepEqual([rest?.pruned, rest?.next_after], [1, null]);
  });

  it("a round ends when it is told to stop or its time is over, and says that more may be left", async () => {
    await pastRuns(db, { tasks: 600, daysAgo: 400, deleted: true });
    const stopped = await round({ keepRunsMs: DAY_MS }, { signal: AbortSignal.abort() });
    assert.deepEqual([stopped.runs, stopped.complete], [0, false]);
    const cut = await round({ keepRunsMs: DAY_MS }, { what: ["runs"], maxMs: 1, restFactor: 1 });
    assert.ok(cut.runs < 600 && !cut.complete);
    assert.equal((await round({ keepRunsMs: DAY_MS })).runs, 600 - cut.runs, "the next round goes on with it");
  });

  it("only the engine's role may prune: history is not an operator's to delete", async () => {
    for (const role of ["operator", "reader", "pod"] as const) {
      const database = openDatabase({ url: db.test.url(role), applicationName: "test", max: 1 });
      try {
        const batch = pruneBatch(database, "runs", { before: FAR_AWAY, limit: 1, after: null, dryRun: true });
        await assert.rejects(batch, /may not do that/, role);
      } finally {
        await database.close();
      }
    }
  });
});
