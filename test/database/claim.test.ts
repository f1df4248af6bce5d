import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";

describe("claiming", () => {
  let db: SchemaClient;
  beforeEach(async () => {
    db = await schemaClient(4);
  });
  afterEach(() => db.close());

  const running = async () =>
    (await db.pool.query("select prompt from tasks where status = 'running' order by created_at, id")).rows.map(
      (row) => row.prompt,
    );

  it("runs tasks of one addressee one after the other, oldest first", async () => {
    const ids = [await db.insert({ prompt: "1" }), await db.insert({ prompt: "2" }), await db.insert({ prompt: "3" })];
    for (const [index, id] of ids.entries()) {
      assert.equal(await db.claimAll(), 1);
      assert.deepEqual(await running(), [String(index + 1)]);
      await db.settle(id);
    }
  });

  it("runs three addressees side by side", async () => {
    for (const addressee of ["a", "b", "c"]) await db.insert({ addressee });
    assert.equal(await db.claimAll(), 3);
  });

  it("keeps the order of one INSERT statement and of one transaction", async () => {
    await db.pool.query("insert into tasks (addressee, prompt) select 'w', i::text from generate_series(1, 20) i");
    const order: string[] = [];
    for (let i = 0; i < 20; i++) {
      await db.claimAll();
      const [prompt] = await running();
      order.push(prompt ?? "");
      const { rows } = await db.pool.query("select id from tasks where status = 'running'");
      await db.settle(rows[0].id);
    }
    assert.deepEqual(
      order,
      Array.from({ length: 20 }, (_, index) => String(index + 1)),
    );
  });

  it("capacity gives an addressee so many slots, and no more", async () => {
    await db.pool.query("insert into addressees (addressee, capacity) values ('w', 2)");
    for (const prompt of ["1", "2", "3"]) await db.insert({ addressee: "w", prompt });
    assert.equal(await db.claimAll(), 2);
    const { rows } = await db.pool.query("select slot from runs order by slot");
    assert.deepEqual(rows, [{ slot: 1 }, { slot: 2 }]);
  });

  it("when capacity is lowered, surplus runs finish and nothing starts until there is room", async () => {
    await db.pool.query("insert into addressees (addressee, capacity) values ('w', 3)");
    const ids = [];
    for (const prompt of ["1", "2", "3", "4"]) ids.push(await db.insert({ addressee: "w", prompt }));
    assert.equal(await db.claimAll(), 3);
    await db.pool.query("update addressees set capacity = 1");
    await db.settle(ids[0] as string); // slot 1 is unused now, but two still run
    assert.equal(await db.claimAll(), 0);
    await db.settle(ids[1] as string);
    await db.settle(ids[2] as string);
    assert.equal(await db.claimAll(), 1);
  });

  it("capacity 0 starts nothing; raising it starts the head", async () => {
    await db.pool.query("insert into addressees (addressee, capacity) values ('w', 0)");
    const id = await db.insert({ addressee: "w" });
    assert.equal(await db.claimAll(), 0);
    assert.match((await db.why(id)).explanation, /capacity 0/);
    await db.pool.query("update addressees set capacity = 1");
    assert.equal(await db.claimAll(), 1);
  });

  it("the global limit binds, and places go round over the repositories", async () => {
    for (let i = 0; i < 6; i++)
      await db.insert({ addressee: `a${i}`, repo_url: "https://host/big.git", prompt: `big${i}` });
    await db.insert({ addressee: "z", repo_url: "https://host/small.git", prompt: "small" });
    await db.insert({ addressee: "y", prompt: "none" });
    assert.equal(await db.claimAll(), 4);
    assert.deepEqual(await running(), ["big0", "big1", "small", "none"]);
    const waiting = await db.pool.query("select id from tasks where prompt = 'big2'");
    assert.equal((await db.why(waiting.rows[0].id)).reason, "global_limit");
  });

  it("a paused addressee and a paused engine start nothing, and go on when resumed", async () => {
    const id = await db.insert({ addressee: "w" });
    await db.pool.query("select pause('w')");
    assert.equal(await db.claimAll(), 0);
    assert.equal((await db.why(id)).reason, "addressee_paused");
    await db.pool.query("select resume('w'), pause()");
    assert.equal(await db.claimAll(), 0);
    assert.equal((await db.why(id)).reason, "engine_paused");
    await db.pool.query("select resume()");
    assert.equal(await db.claimAll(), 1);
  });

  it("a blocked credential holds only its own tasks, until it opens", async () => {
    await db.pool.query("insert into credentials (name) values ('second')");
    await db.pool.query(
      "insert into profiles (name, role, addressee_pattern, credential) values ('p2', 'red', 'second-%', 'second')",
    );
    const id = await db.insert({ addressee: "first" });
    await db.insert({ addressee: "second-1" });
    await db.pool.query("update credentials set blocked_until = now() + interval '1 hour' where name = 'default'");
    assert.equal(await db.claimAll(), 1);
    assert.equal((await db.why(id)).reason, "credential");
    await db.pool.query("update credentials set blocked_until = now() - interval '1 second' where name = 'default'");
    assert.equal(await db.claimAll(), 1);
  });

  it("a profile that changes while a claim makes a lane decides that lane too", async () => {
    await db.pool.query("insert into credentials (name, blocked_until) values ('shut', now() + interval '1 hour')");
    await db.pool.query(
      "insert into profiles (name, role, addressee_pattern, credential) values ('p2', 'red', 'second-%', 'shut')",
    );
    const writer = await db.pool.connect();
    await writer.query("begin");
    await writer.query("update profiles set credential = 'default' where name = 'p2'");
    await db.insert({ addressee: "second-1" });
    assert.equal(await db.claimAll(), 0);
    await writer.query("commit");
    writer.release();
    assert.equal(await db.claimAll(), 1);
  });

  it("a head locked by somebody's open transaction keeps its place and holds its addressee", async () => {
    const head = await db.insert({ prompt: "head" });
    await db.insert({ prompt: "behind" });
    const other = await db.pool.connect();
    await other.query("begin");
    await other.query("select from tasks where id = $1 for update", [head]);
    assert.equal(await db.claimAll(), 0);
    await other.query("commit");
    other.release();
    assert.equal(await db.claimAll(), 1);
    assert.deepEqual(await running(), ["head"]);
  });

  it("an inserter's open transaction delays only its own rows", async () => {
    const other = await db.pool.connect();
    await other.query("begin");
    await other.query("insert into tasks (addressee, prompt) values ('w', 'slow')");
    await db.insert({ addressee: "w", prompt: "quick" });
    assert.equal(await db.claimAll(), 1);
    assert.deepEqual(await running(), ["quick"]);
    await other.query("commit");
    other.release();
    const { rows } = await db.pool.query("select id from tasks where prompt = 'quick'");
    await db.settle(rows[0].id);
    assert.equal(await db.claimAll(), 1);
    assert.deepEqual(await running(), ["slow"]);
  });

  it("the database itself refuses a second occupant of a slot", async () => {
    const id = await db.insert({});
    await db.claimAll();
    await assert.rejects(
      db.pool.query(
        "insert into runs select (jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid(), 'task_id', gen_random_uuid()))).* from runs r where task_id = $1",
        [id],
      ),
      /runs_live_slot/,
    );
  });

  it("many claimers at once claim each task once", async () => {
    await db.pool.query("update engine_state set max_live_runs = 1000");
    await db.pool.query("insert into tasks (addressee, prompt) select 'w' || i, 'p' from generate_series(1, 200) i");
    const counts = await Promise.allSettled(Array.from({ length: 6 }, () => db.claimAll(50)));
    const claimed = counts.reduce((sum, result) => sum + (result.status === "fulfilled" ? result.value : 0), 0);
    const { rows } = await db.pool.query(
      "select count(*)::int as runs, count(distinct task_id)::int as tasks from runs",
    );
    assert.equal(rows[0].runs, rows[0].tasks);
    assert.ok(claimed <= rows[0].runs);
    await db.claimAll();
    assert.equal((await running()).length, 200);
  });

  it("a task for a person is never launched", async () => {
    const id = await db.insert({ addressee: "blue" });
    assert.equal(await db.claimAll(), 0);
    assert.equal((await db.why(id)).reason, "human");
  });

  it("an engine of an older epoch claims, settles and beats no more", async () => {
    const id = await db.insert({});
    await db.claimAll();
    await db.pool.query("update engine_state set epoch = epoch + 1");
    await assert.rejects(db.claimAll(), { name: "StaleEpochError" });
    await assert.rejects(db.settle(id), /is over: another engine has taken over/);
    await assert.rejects(db.pool.query("select beat($1)", [db.epoch]), /is over/);
  });

  it("a sweep heals a lane that missed its change", async () => {
    await db.pool.query(
      "set session_replication_role = replica; insert into tasks (addressee, prompt) values ('w', 'p'); set session_replication_role = origin",
    );
    assert.equal(await db.claimAll(), 0);
    await db.pool.query("select sweep_lanes()");
    assert.equal(await db.claimAll(), 1);
  });
});
