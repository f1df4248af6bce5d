/** Every row of the design's table of hand edits, by plain SQL. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";

describe("hand edits of tasks", () => {
  let db: SchemaClient;
  let task: string;
  before(async () => {
    db = await schemaClient();
  });
  after(() => db.close());
  beforeEach(async () => {
    await db.pool.query("delete from tasks");
    await db.pool.query("delete from runs");
    task = await db.insert({});
  });

  const edit = (set: string, id = task) => db.pool.query(`update tasks set ${set} where id = $1`, [id]);
  const row = async () => (await db.pool.query("select * from tasks where id = $1", [task])).rows[0];

  it("completed → pending runs the task again: times and result are cleared, the old ones stay in runs", async () => {
    await db.claimAll();
    await db.settle(task);
    await edit("status = 'pending'");
    const pending = await row();
    assert.deepEqual([pending.started_at, pending.completed_at, pending.result], [null, null, null]);
    assert.equal(await db.claimAll(), 1);
    const runs = await db.pool.query("select attempt, success from runs where task_id = $1 order by attempt", [task]);
    assert.deepEqual(runs.rows, [
      { attempt: 1, success: true },
      { attempt: 2, success: null },
    ]);
  });

  it("running → pending stops the live run, and the task runs again only when that is gone", async () => {
    await db.claimAll();
    await edit("status = 'pending'");
    assert.notEqual((await db.liveRun(task))?.stop_requested_at, null);
    assert.equal(await db.claimAll(), 0);
    assert.equal((await db.why(task)).reason, "stopping_run");
    await db.settle(task, { action: "complete", success: false, failure_code: "stopped" });
    assert.equal(await db.status(task), "pending");
    assert.equal(await db.claimAll(), 1);
    assert.equal((await db.liveRun(task))?.attempt, 2);
  });

  it("running → completed stops the live run and keeps the given result", async () => {
    await db.claimAll();
    await edit(`status = 'completed', result = '{"success": true, "summary": "by hand"}'`);
    assert.notEqual((await db.liveRun(task))?.stop_requested_at, null);
    await db.settle(task, { action: "complete", success: false, failure_code: "stopped" });
    assert.deepEqual((await row()).result, { success: true, summary: "by hand" });
  });

  it("running → completed without a result says stopped", async () => {
    await db.claimAll();
    await edit("status = 'completed'");
    assert.deepEqual((await row()).result, { success: false, code: "stopped", error: "Stopped by hand." });
  });

  it("pending → completed cancels: it never runs", async () => {
    await edit("status = 'completed'");
    assert.equal(await db.claimAll(), 0);
    assert.equal((await row()).result.code, "stopped");
  });

  it("→ running is refused, from every status", async () => {
    await assert.rejects(edit("status = 'running'"), /Only the engine starts runs/);
    await edit("status = 'completed'");
    await assert.rejects(edit("status = 'running'"), /Only the engine starts runs/);
    await edit("status = 'pending'");
    await db.claimAll();
    await edit("status = 'pending'");
    await assert.rejects(edit("status = 'running'"), /Only the engine starts runs/);
  });

  it("DELETE of a running task stops its run, whose row stays; settling it finishes only the run", async () => {
    await db.claimAll();
    const run = await db.liveRun(task);
    await db.pool.query("delete from tasks where id = $1", [task]);
    assert.notEqual((await db.liveRun(task))?.stop_requested_at, null);
    assert.equal(await db.settle(task, { action: "complete", success: true }), "settled");
    const kept = await db.pool.query("select success, finished_at is not null as finished from runs where id = $1", [
      run?.id,
    ]);
    assert.deepEqual(kept.rows, [{ success: true, finished: true }]);
  });

  it("an earlier created_at moves a pending task ahead", async () => {
    const later = await db.insert({ prompt: "later" });
    await edit("created_at = '2000-01-01'", later);
    await db.claimAll();
    assert.equal(await db.status(later), "running");
    assert.equal(await db.status(task), "pending");
  });

  it("prompt, addressee, repo_url and branch change while pending, and are refused while a run lives", async () => {
    await edit("prompt = 'other', addressee = 'someone', repo_url = 'https://host/x.git', branch = 'b'");
    await db.claimAll();
    for (const set of [
      "prompt = 'x'",
      "addressee = 'x'",
      "repo_url = 'https://host/y'",
      "branch = 'c'",
      "created_at = now()",
    ]) {
      await assert.rejects(edit(set), /Only a pending task without a live run can be changed/, set);
    }
    await edit("status = 'pending'"); // its run is still ending
    await assert.rejects(edit("prompt = 'x'"), /has the live run/);
  });

  it("a task that is moved to another addressee takes its place there", async () => {
    await db.insert({ addressee: "other" });
    await edit("addressee = 'other'");
    await db.claimAll();
    assert.equal(await db.status(task), "running");
  });

  it("INSERT with a status other than pending is refused", async () => {
    for (const status of ["running", "completed", "done"]) {
      await assert.rejects(
        db.pool.query("insert into tasks (addressee, prompt, status) values ('a', 'p', $1)", [status]),
        /A new task is pending/,
      );
    }
  });

  it("a mistyped status is refused with the ones there are", async () => {
    await assert.rejects(edit("status = 'complete'"), /"complete" is no status: use pending .* or completed/);
  });

  it("id, parent and creator stay, a pending task takes no result, a result is an object, TRUNCATE is refused", async () => {
    await assert.rejects(edit("id = gen_random_uuid()"), /stay as they are/);
    await assert.rejects(edit("created_by = 'someone else'"), /stay as they are/);
    await assert.rejects(edit(`result = '{"success": true}'`), /A pending task has no result/);
    await assert.rejects(edit("status = 'completed', result = '[1]'"), /must be a JSON object/);
    await db.claimAll();
    await assert.rejects(
      edit(`result = '{"success": true}'`),
      /A running task has no result yet: set status to completed/,
    );
    await assert.rejects(db.pool.query("truncate tasks cascade"), /use DELETE FROM tasks/);
  });

  it("each edit leaves an audit row that says who did what", async () => {
    await db.claimAll();
    await edit("status = 'pending'");
    await db.settle(task, { action: "complete", success: false, failure_code: "stopped" });
    await db.claimAll();
    await edit("status = 'completed'");
    await db.pool.query("delete from tasks where id = $1", [task]);
    const events = await db.pool.query(
      "select event, actor = session_user as mine from task_events where task_id = $1 order by id",
      [task],
    );
    assert.deepEqual(
      events.rows.map((event) => event.event),
      ["started", "rescheduled", "started", "stopped", "deleted"],
    );
    assert.ok(events.rows.at(-1).mine);
  });

  it("an INSERT writes no audit row", async () => {
    const { rows } = await db.pool.query("select count(*)::int as count from task_events where task_id = $1", [task]);
    assert.equal(rows[0].count, 0);
  });
});
