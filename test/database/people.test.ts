import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import pg from "pg";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";

describe("what people call, with the operator's login", () => {
  let db: SchemaClient;
  let operator: pg.Client;
  beforeEach(async () => {
    db = await schemaClient(1);
    operator = new pg.Client({ connectionString: db.test.url("operator") });
    await operator.connect();
  });
  afterEach(async () => {
    await operator.end();
    await db.close();
  });
  const one = async (sql: string, values: unknown[] = []) => (await operator.query(sql, values)).rows[0];

  it("enqueue files a task with its options, and the same key returns the same task", async () => {
    const first = await one(
      "select * from enqueue(addressee => 'w', prompt => 'p', model => 'opus', base_branch => 'dev', idempotency_key => 'k')",
    );
    const again = await one("select * from enqueue('other', 'other', idempotency_key => 'k')");
    assert.equal(again.id, first.id);
    assert.equal(first.status, "pending");
    assert.match(first.created_by, /operator/);
    const options = await one("select model, base_branch from task_options where task_id = $1", [first.id]);
    assert.deepEqual(options, { model: "opus", base_branch: "dev" });
  });

  it("enqueue with one key at the same time makes one task", async () => {
    const ids = await Promise.all(
      Array.from(
        { length: 8 },
        async () => (await db.pool.query("select id from enqueue('w', 'p', idempotency_key => 'same')")).rows[0].id,
      ),
    );
    assert.equal(new Set(ids).size, 1);
  });

  it("enqueue refuses an unknown profile and a bad base branch with a sentence", async () => {
    await assert.rejects(one("select enqueue('w', 'p', profile => 'nope')"), /There is no profile "nope"/);
    await assert.rejects(one("select enqueue('w', 'p', base_branch => '-x')"), /base_branch "-x" is not a name/);
  });

  it("an operator files, edits, stops and reschedules by plain SQL and by function", async () => {
    await operator.query("insert into tasks (addressee, prompt) values ('w', 'p')");
    const { id } = await one("select id from tasks");
    await db.claimAll();
    assert.equal((await one("select * from stop($1, 'changed my mind')", [id])).result.error, "changed my mind");
    assert.notEqual((await db.liveRun(id))?.stop_requested_at, null);
    await assert.rejects(one("select reschedule($1, 'and be quick')", [id]), /has the live run/);
    await db.settle(id, { action: "complete", success: false, failure_code: "stopped" });
    const again = await one("select * from reschedule($1, 'and be quick')", [id]);
    assert.deepEqual([again.status, again.prompt], ["pending", "p\n\nand be quick"]);
    await operator.query("update tasks set status = 'completed' where id = $1", [id]);
    await operator.query("delete from tasks where id = $1", [id]);
  });

  it("stop of a pending task cancels it, of a completed one leaves it, of none says so", async () => {
    const pending = await db.insert({});
    assert.equal((await one("select * from stop($1)", [pending])).result.error, "Cancelled before it ran.");
    assert.equal((await one("select * from stop($1, 'later')", [pending])).result.error, "Cancelled before it ran.");
    await assert.rejects(one("select stop(gen_random_uuid())"), /There is no task/);
  });

  it("an operator cannot write runs, audit rows, lanes or the epoch", async () => {
    for (const statement of [
      "update runs set success = true",
      "delete from task_events",
      "insert into lanes values ('a')",
      "update engine_state set epoch = 0",
      "select raise_epoch(gen_random_uuid(), 'h', 1, '0', 'p', 1, '')",
      "select settle_run(1, gen_random_uuid(), '{}')",
      "alter table tasks disable trigger all",
      "insert into lane_changes values ('a')",
    ]) {
      await assert.rejects(operator.query(statement), { code: "42501" }, statement);
    }
  });

  it("a reader sees everything and changes nothing", async () => {
    const reader = new pg.Client({ connectionString: db.test.url("reader") });
    await reader.connect();
    try {
      const id = await db.insert({});
      for (const view of ["tasks", "runs", "queue", "running", "failures", "spend", "task_events", "credentials"]) {
        await reader.query(`select * from ${view}`);
      }
      assert.equal((await reader.query("select * from why_not_running($1)", [id])).rowCount, 1);
      for (const statement of [
        "insert into tasks (addressee, prompt) values ('a', 'p')",
        "select enqueue('a', 'p')",
        "select stop($1)",
        "update tasks set status = 'completed'",
      ]) {
        await assert.rejects(
          reader.query(statement, statement.includes("$1") ? [id] : []),
          { code: "42501" },
          statement,
        );
      }
    } finally {
      await reader.end();
    }
  });

  it("credentials hold where a secret lies, never what looks like one", async () => {
    await assert.rejects(
      operator.query("insert into credentials (name, env_var) values ('x', 'sk-ant-oat01-abc')"),
      /env_var is no name of a variable/,
    );
    await assert.rejects(
      operator.query("insert into credentials (name, env_var, file_path) values ('x', 'A', '/b')"),
      /the secret lies in one place/,
    );
    await operator.query("insert into credentials (name, env_var) values ('x', 'SECOND_TOKEN')");
  });
});

describe("why_not_running", () => {
  let db: SchemaClient;
  beforeEach(async () => {
    db = await schemaClient(1);
  });
  afterEach(() => db.close());

  it("names the slot's run, the head, the global limit, the missing engine, or that it is about to start", async () => {
    const first = await db.insert({ addressee: "w" });
    assert.equal((await db.why(first)).reason, "starting");
    const second = await db.insert({ addressee: "w" });
    const third = await db.insert({ addressee: "w" });
    const elsewhere = await db.insert({ addressee: "x" });
    await db.claimAll();
    const run = await db.liveRun(first);
    assert.equal((await db.why(first)).reason, "running");
    assert.match(
      (await db.why(second)).explanation,
      new RegExp(`only slot of "w" is taken: run ${run?.id} of task ${first}, for \\d+ s`),
    );
    const behind = await db.why(third);
    assert.equal(behind.reason, "head");
    assert.match(behind.explanation, new RegExp(`1 task of "w" is ahead of it, the oldest is ${second} \\(slot\\)`));
    assert.equal((await db.why(elsewhere)).reason, "global_limit");
    await db.pool.query("update engine_beat set beat_at = now() - interval '1 minute'");
    assert.match(
      (await db.why(second)).explanation,
      /No engine is running \(the last one on test-host was seen ([6-9]|1[01])\d s ago\)/,
    );
    await db.settle(first);
    assert.equal((await db.why(first)).reason, "completed");
    assert.equal(await db.why("00000000-0000-0000-0000-000000000000"), undefined);
  });

  it("says what a credential lacks", async () => {
    const id = await db.insert({});
    await db.pool.query("update credentials set problem = 'CLAUDE_CODE_OAUTH_TOKEN is not set.'");
    assert.deepEqual(await db.why(id), {
      reason: "credential",
      explanation: 'Credential "default" cannot be used: CLAUDE_CODE_OAUTH_TOKEN is not set.',
    });
    assert.equal(await db.claimAll(), 0);
  });

  it("says that a run on another host can only be judged there", async () => {
    const first = await db.insert({ addressee: "w" });
    const second = await db.insert({ addressee: "w" });
    await db.claimAll();
    await db.pool.query("update runs set host = 'laptop' where task_id = $1", [first]);
    assert.match((await db.why(second)).explanation, /on host laptop, which no engine watches now/);
  });
});
