/** The engine's recurring work prunes by its settings. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { pino } from "pino";
import { startRecurring } from "../../engine/cron/recurring.ts";
import type { Leader } from "../../engine/loops/leader.ts";
import { historySize, pastRuns } from "../support/history.ts";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";
import { eventually } from "../support/waiting.ts";

const DAY_MS = 86_400_000;
const SOON_MS = 30_000;
const DEADLINE_MS = 60_000;

describe("recurring pruning", () => {
  let db: SchemaClient;
  let stopped: AbortController;
  let leader: Leader;
  beforeEach(async () => {
    db = await schemaClient();
    stopped = new AbortController();
    leader = {
      database: db.engine,
      log: pino({ level: "silent" }),
      signal: stopped.signal,
    } as unknown as Leader;
  });
  afterEach(() => db.close());

  type Left = Awaited<ReturnType<typeof historySize>>;
  /** Asks for the job until it has done this: graphile-worker may not listen yet when it is asked first. */
  const untilJob = (job: string, what: string, done: (left: Left) => boolean) =>
    eventually(
      what,
      async () => {
        await db.pool.query("select graphile_worker.add_job($1, job_key => 'test')", [job]);
        return done(await historySize(db));
      },
      DEADLINE_MS,
    );

  it("transcripts go in one job, runs and audit rows in another", async () => {
    await pastRuns(db, { tasks: 30, daysAgo: 40, deleted: true, transcriptBytes: 10 });
    await pastRuns(db, { tasks: 20, daysAgo: 400, deleted: true });
    const stop = await startRecurring(leader, { keepTranscriptsMs: 30 * DAY_MS, keepRunsMs: 365 * DAY_MS });
    try {
      await untilJob("prune_transcripts", "the transcripts are gone", (left) => left.transcripts === 0);
      assert.deepEqual(await historySize(db), { transcripts: 0, events: 100, runs: 50 });
      await untilJob("prune_runs", "the runs are gone", (left) => left.runs === 30);
      assert.deepEqual(await historySize(db), { transcripts: 0, events: 60, runs: 30 });
    } finally {
      await stop();
    }
  });

  it("an engine that stops does not wait for the end of a round", async () => {
    await pastRuns(db, { tasks: 10_000, daysAgo: 400, deleted: true });
    const stop = await startRecurring(leader, { keepRunsMs: DAY_MS });
    await untilJob("prune_runs", "it has begun", (left) => left.events < 20_000);
    const begin = performance.now();
    stopped.abort();
    await stop();
    assert.ok(performance.now() - begin < SOON_MS);
    assert.ok((await historySize(db)).runs > 0, "something was left");
  });
});
