/**
 * Sequences worth keeping, each the shortest that shows its point: what the model or the table of states has found, and
 * what random sequences reach too seldom to rely on.
 */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";

const LOST = { action: "requeue", success: false, failure_code: "lost", retry_after_seconds: 0 };
const LOST_FOR_AN_HOUR = { ...LOST, retry_after_seconds: 3600 };
const STOPPED = { action: "complete", success: false, failure_code: "stopped" };
const POD = "pod-1";

describe("sequences kept", () => {
  let db: SchemaClient;
  beforeEach(async () => {
    db = await schemaClient();
  });
  afterEach(() => db.close());

  const edit = (id: string, set: string) => db.pool.query(`update tasks set ${set} where id = $1`, [id]);
  const runId = async (task: string) => (await db.liveRun(task))?.id ?? "";
  const loadBrief = async (task: string) => {
    const run = await runId(task);
    const { rows } = await db.pool.query("select load_brief($1, $2, $3) as brief", [run, db.token(run), POD]);
    return rows[0].brief;
  };
  const announce = async (task: string) => {
    const run = await runId(task);
    await loadBrief(task);
    const report = { commit_sha: "abc" };
    await db.pool.query("select write_report($1, $2, $3, $4, false)", [run, db.token(run), POD, report]);
  };

  it("running → pending by hand on a repeated attempt: the next one knows nothing of what an earlier attempt announced", async () => {
    const task = await db.insert({ repo_url: "https://host/x.git" });
    await db.claimAll();
    await announce(task);
    await db.settle(task, LOST);
    await db.claimAll(); // attempt 2, which the engine repeated by itself
    await edit(task, "status = 'pending'");
    await db.settle(task, STOPPED);
    await db.claimAll();
    assert.equal((await loadBrief(task)).announced, null);
  });

  it("a prompt edited while the task waits to be repeated is worked on: what an earlier attempt announced is forgotten", async () => {
    const task = await db.insert({ repo_url: "https://host/x.git" });
    await db.claimAll();
    await announce(task);
    await db.settle(task, LOST);
    await edit(task, "prompt = 'something else'");
    await db.claimAll();
    assert.equal((await loadBrief(task)).announced, null);
  });

  it("a task that was cancelled in its pause after a failure starts at once when it is filed again, counted anew", async () => {
    const task = await db.insert({});
    await db.claimAll();
    await db.settle(task, LOST_FOR_AN_HOUR);
    await edit(task, "status = 'completed'");
    await edit(task, "status = 'pending'");
    assert.equal(await db.claimAll(), 1);
    const { rows } = await db.pool.query("select attempt, retries from runs where finished_at is null");
    assert.deepEqual(rows, [{ attempt: 2, retries: 0 }]);
  });

  it("with a slot to spare, a head whose stopped run is still ending holds those behind it", async () => {
    await db.pool.query("insert into addressees (addressee, capacity) values ('worker', 2)");
    const head = await db.insert({});
    await db.claimAll();
    await edit(head, "status = 'pending'");
    const behind = await db.insert({});
    assert.equal(await db.claimAll(), 0);
    assert.equal((await db.why(head)).reason, "stopping_run");
    assert.equal((await db.why(behind)).reason, "head");
    await db.settle(head, STOPPED);
    assert.equal(await db.claimAll(), 2);
  });

  it("when the head is moved to another addressee, the next one of its old addressee starts", async () => {
    const moved = await db.insert({});
    const next = await db.insert({});
    await db.pool.query("select pause()");
    await db.claimAll(); // its lane knows the head now
    await edit(moved, "addressee = 'somebody else'");
    await db.pool.query("select resume()");
    await db.claimAll();
    assert.deepEqual([await db.status(moved), await db.status(next)], ["running", "running"]);
  });

  it("when the head is deleted, the next one starts", async () => {
    const head = await db.insert({});
    const next = await db.insert({});
    await db.pool.query("select pause()");
    await db.claimAll(); // its lane knows the head now
    await db.pool.query("delete from tasks where id = $1", [head]);
    await db.pool.query("select resume()");
    await db.claimAll();
    assert.equal(await db.status(next), "running");
  });

  it("a credential that is blocked for ever holds its own tasks, and no others", async () => {
    await db.pool.query(`
      insert into credentials (name) values ('second');
      insert into profiles (name, role, addressee_pattern, credential) values ('second', 'red', 'second-%', 'second');
      update credentials set blocked_until = 'infinity' where name = 'second'`);
    const blocked = await db.insert({ addressee: "second-1" });
    const free = await db.insert({});
    assert.equal(await db.claimAll(), 1);
    assert.equal(await db.status(free), "running");
    assert.equal((await db.why(blocked)).reason, "credential");
  });

  for (const [edit, first, then] of [
    ["added", null, "insert into task_options (task_id, profile) values ($1, 'red')"],
    ["changed", "human", "update task_options set profile = 'red' where task_id = $1"],
    ["deleted", "human", "delete from task_options where task_id = $1"],
  ] as const) {
    it(`options ${edit} by hand open their task's gate at once, not at the next sweep`, async () => {
      // Its addressee's profile says human, unless the task's own options say otherwise; or the other way round.
      const addressee = first === null ? "blue" : "worker";
      const { rows } = await db.pool.query("select id from enqueue($1, 'p', profile => $2)", [addressee, first]);
      assert.equal(await db.claimAll(), 0);
      await db.pool.query(then, [rows[0].id]);
      assert.equal((await db.why(rows[0].id)).reason, "starting");
      assert.equal(await db.claimAll(), 1);
    });
  }

  it("a run that is named twice in one batch is settled once, children included", async () => {
    const task = await db.insert({ addressee: "project-mgr-web" });
    await db.claimAll();
    const settlement = { run_id: await runId(task), action: "complete", success: true, tasks: [{ prompt: "child" }] };
    await db.pool.query("select settle_runs($1, $2)", [db.epoch, JSON.stringify([settlement, settlement])]);
    const { rows } = await db.pool.query("select count(*)::integer as children from tasks where parent_id = $1", [
      task,
    ]);
    assert.deepEqual(rows, [{ children: 1 }]);
  });

  it("rows of one instant run in the order of their ids", async () => {
    await db.pool.query(`insert into tasks (id, addressee, prompt, created_at)
      select ('00000000-0000-4000-8000-00000000000' || i)::uuid, 'worker', 'p', '2030-01-01'
      from unnest(array[3, 1, 2]) i`);
    for (const i of [1, 2, 3]) {
      await db.claimAll();
      const task = `00000000-0000-4000-8000-00000000000${i}`;
      assert.equal(await db.status(task), "running");
      await db.settle(task);
    }
  });

  it("an epic whose wake-up was deleted ends when its first task goes too, instead of lying there for ever", async () => {
    const { rows } = await db.pool.query("select id from file_epic('project-mgr-web', 'Build it.')");
    const epic = rows[0].id;
    const state = async () => (await db.pool.query("select state, end_code from epics where id = $1", [epic])).rows[0];
    await db.claimAll();
    await db.settle(epic, { action: "complete", success: true, summary: "nothing to do" });
    const deleted = await db.pool.query("delete from tasks where created_by = 'engine' and status = 'pending'");
    assert.equal(deleted.rowCount, 1);
    assert.deepEqual(await state(), { state: "active", end_code: null });
    await db.pool.query("delete from tasks where id = $1", [epic]);
    assert.deepEqual(await state(), { state: "stopped", end_code: "stopped" });
  });
});
