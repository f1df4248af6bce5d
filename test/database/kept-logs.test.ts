/** Whose words the row of a run's transcript holds: the engine's until publish has spoken, and then publish's. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import pg from "pg";
import { StaleEpochError } from "../../engine/store/errors.ts";
import { followableRuns, liveRuns, markLaunched, reportInstead } from "../../engine/store/runs.ts";
import { keepLogs, keptLogs, transcriptLines } from "../../engine/store/transcripts.ts";
import type { LogToKeep } from "../../engine/store/transcripts.ts";
import { doneReport } from "../support/instant-launcher.ts";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";

describe("the kept log of a run", () => {
  let db: SchemaClient;
  let pod: pg.Client;
  let task: string;
  let run: string;
  beforeEach(async () => {
    db = await schemaClient();
    pod = new pg.Client({ connectionString: db.test.url("pod") });
    await pod.connect();
    task = await db.insert({});
    await db.claimAll();
    run = (await db.liveRun(task))?.id ?? "";
    await pod.query("select load_brief($1, $2, 'pod-1')", [run, db.token(run)]);
  });
  afterEach(async () => {
    await pod.end();
    await db.close();
  });

  const logOf = (runId: string, ...lines: string[]): LogToKeep => {
    const text = Buffer.from(lines.map((line) => `${line}\n`).join(""));
    return { runId, content: gzipSync(text), rawBytes: text.length, truncated: false };
  };
  const keep = async (...lines: string[]): Promise<boolean> =>
    (await keepLogs(db.engine, db.epoch, [logOf(run, ...lines)])).has(run);
  const publish = (line: string, client = pod) =>
    client.query("select store_transcript($1, $2, 'pod-1', $3, 1, false)", [run, db.token(run), gzipSync(`${line}\n`)]);
  const seen = async () => (await liveRuns(db.engine, "test-host", { ids: [run] }))[0];

  it("is replaced as it grows, read by everybody, and no transcript", async () => {
    assert.deepEqual([(await seen())?.hasTranscript, (await seen())?.hasKeptLog], [false, false]);
    assert.equal(await keep("one"), true);
    assert.equal(await keep("one", "two"), true);
    assert.deepEqual(await transcriptLines(db.engine, run), ["one", "two"]);
    assert.equal(await transcriptLines(db.engine, run, { ofPublish: true }), null);
    assert.deepEqual([...(await keptLogs(db.engine, [run]))], [[run, ["one", "two"]]]);
    assert.deepEqual([(await seen())?.hasTranscript, (await seen())?.hasKeptLog], [false, true]);
    const { rows } = await db.pool.query("select content from run_transcripts where run_id = $1", [run]);
    assert.equal(gunzipSync(rows[0].content).toString(), "one\ntwo\n");
  });

  it("gives way to the transcript of publish, and never comes back", async () => {
    await keep("one");
    await publish("said");
    assert.equal(await keep("one", "late"), false);
    await publish("said once more");
    assert.equal(await keep("one", "later"), false);
    assert.deepEqual(await transcriptLines(db.engine, run, { ofPublish: true }), ["said once more"]);
    assert.equal((await keptLogs(db.engine, [run])).size, 0);
    assert.deepEqual([(await seen())?.hasTranscript, (await seen())?.hasKeptLog], [true, false]);
  });

  it("does not get into the way of a publish that stores at the same time, in whatever order", async () => {
    const pods = await Promise.all(
      Array.from({ length: 3 }, async () => {
        const client = new pg.Client({ connectionString: db.test.url("pod") });
        await client.connect();
        return client;
      }),
    );
    try {
      for (let round = 0; round < 30; round++) {
        await db.pool.query("delete from run_transcripts");
        const line = `said in round ${round}`;
        await Promise.all([keep("a"), ...pods.map((client) => publish(line, client)), keep("a", "b"), keep("c")]);
        assert.deepEqual(await transcriptLines(db.engine, run), [line]);
      }
    } finally {
      await Promise.all(pods.map((client) => client.end()));
    }
  });

  it("is written by the engine that leads, of live runs only; what has ended stays as it is", async () => {
    await keep("one");
    const other = await db.insert({ addressee: "other" });
    await db.claimAll();
    const otherRun = (await db.liveRun(other))?.id ?? "";
    await db.settle(task, { action: "complete", success: false, failure_code: "lost" });
    const gone = "00000000-0000-4000-8000-000000000000";
    const logs = [logOf(run, "late"), logOf(gone, "nobody's"), logOf(otherRun, "other")];
    assert.deepEqual([...(await keepLogs(db.engine, db.epoch, logs))], [otherRun]);
    assert.deepEqual(await transcriptLines(db.engine, run), ["one"]);
    await assert.rejects(keepLogs(db.engine, db.epoch - 1, [logOf(otherRun, "stale")]), StaleEpochError);
    assert.deepEqual(await transcriptLines(db.engine, otherRun), ["other"]);
  });

  it("a report in place of a run that cannot write one stays, unless the run was faster or is to be stopped", async () => {
    const report = { ...doneReport, success: false, code: "hung" as const, error: "It hangs." };
    const write = () => reportInstead(db.engine, db.epoch, run, report);
    await assert.rejects(reportInstead(db.engine, db.epoch - 1, run, report), StaleEpochError);
    assert.equal(await write(), true);
    assert.equal(await write(), false);
    await pod.query("select write_report($1, $2, 'pod-1', $3, true)", [run, db.token(run), doneReport]);
    assert.equal((await seen())?.report?.code, "hung");
    await db.pool.query("update runs set report = null, stop_requested_at = now()");
    assert.equal(await write(), false);
  });

  it("the oldest runs are followed whose job exists and waits for nothing, with their profile's limit", async () => {
    const ids = [run];
    for (const addressee of ["b", "c", "d"]) {
      const id = await db.insert({ addressee });
      await db.claimAll();
      ids.push((await db.liveRun(id))?.id ?? "");
    }
    const [first, second, third, fourth] = ids as [string, string, string, string];
    const launched = [fourth, third, first].map((runId) => ({ runId, podName: null }));
    await markLaunched(db.engine, db.epoch, launched);
    await db.pool.query("update profiles set silence_limit = '90 seconds'");
    const followed = async (limit: number) =>
      (await followableRuns(db.engine, "test-host", limit)).map(({ id, silenceLimitMs }) => [id, silenceLimitMs]);
    assert.deepEqual(await followed(2), [
      [first, 90_000],
      [third, 90_000],
    ]);
    await db.pool.query("update runs set waiting_for = 'Its image.' where id = $1", [first]);
    assert.deepEqual(
      (await followed(10)).map(([id]) => id),
      [third, fourth],
    );
    assert.equal((await followableRuns(db.engine, "elsewhere", 10)).length, 0);
    assert.ok(second);
  });
});
