/** `prune`: history goes by hand as it does by the engine, and by the same settings. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { historySize, pastRuns } from "../support/history.ts";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";
import { myzel, temporaryDirectory } from "./run-myzel.ts";

describe("pruning from the command line", () => {
  let db: SchemaClient;
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let env: Record<string, string>;
  before(async () => {
    db = await schemaClient();
    directory = await temporaryDirectory();
    env = { DATABASE_URL: db.test.url("engine"), MYZEL_DATA_DIR: directory.path };
    await pastRuns(db, { tasks: 12, daysAgo: 40, deleted: true, transcriptBytes: 100_000 });
    await pastRuns(db, { tasks: 3, daysAgo: 400, deleted: true });
    await pastRuns(db, { tasks: 5, daysAgo: 1, transcriptBytes: 100 });
  });
  after(async () => {
    await db.close();
    await directory.remove();
  });

  it("--dry-run says what would go and changes nothing", async () => {
    const there = await historySize(db);
    const ran = await myzel(["prune", "--dry-run"], { env });
    assert.equal(ran.code, 0, ran.stderr);
    assert.equal(
      ran.stdout,
      "Would prune 12 transcripts (1.2 MB), 6 audit rows and 3 runs; nothing was changed.\n",
      "by the defaults: transcripts of 30 days, runs of a year",
    );
    assert.deepEqual(await historySize(db), there);
  });

  it("prunes by the settings, as flags or variables; --json gives the counts", async () => {
    const ran = await myzel(["prune", "--json", "--keep-runs", "500d"], {
      env: { ...env, MYZEL_MAX_TRANSCRIPTS: "1MB" },
    });
    assert.equal(ran.code, 0, ran.stderr);
    assert.deepEqual(JSON.parse(ran.stdout), {
      dry_run: false,
      transcripts: 12,
      transcript_bytes: 1_200_000,
      events: 0,
      runs: 0,
      complete: true,
    });
    assert.match(
      (await myzel(["prune"], { env })).stdout,
      /^Pruned 0 transcripts \(0 bytes\), 6 audit rows and 3 runs\.\n$/,
    );
    assert.deepEqual(await historySize(db), { transcripts: 5, events: 34, runs: 17 });
    assert.match((await myzel(["prune", "--max-runs", "10"], { env })).stdout, /and 7 runs\.\n$/);
  });

  it("an operator's login is refused with a sentence; a size that is none, too", async () => {
    const operator = await myzel(["prune"], { env: { ...env, DATABASE_URL: db.test.url("operator") } });
    assert.equal(operator.code, 2);
    assert.match(operator.stderr, /^myzel: This login may not do that: .*permission denied/);
    const size = await myzel(["prune", "--max-transcripts", "10"], { env });
    assert.equal(size.code, 2);
    assert.match(size.stderr, /MYZEL_MAX_TRANSCRIPTS: "10" is no size; write it like 500MB, 10GB or 1TB/);
  });

  it("where another session keeps a table locked, it says so with exit code 1", async () => {
    const other = await db.pool.connect();
    try {
      await other.query("begin; lock table run_transcripts in share mode");
      const ran = await myzel(["prune", "--keep-transcripts", "1h"], { env });
      assert.equal(ran.code, 1);
      assert.match(ran.stdout, /More may be left: .*locked/);
    } finally {
      await other.query("rollback");
      other.release();
    }
  });
});
