import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";

describe("settling", () => {
  let db: SchemaClient;
  let task: string;
  beforeEach(async () => {
    db = await schemaClient();
    task = await db.insert({ addressee: "project-mgr-web", repo_url: "https://host/x.git" });
    await db.claimAll();
  });
  afterEach(() => db.close());

  const taskRow = async () => (await db.pool.query("select * from tasks where id = $1", [task])).rows[0];
  const lastRun = async () =>
    (await db.pool.query("select * from runs where task_id = $1 order by attempt desc limit 1", [task])).rows[0];

  it("writes the result of a success into the row and the numbers into the run", async () => {
    await db.settle(task, {
      action: "complete",
      success: true,
      summary: "did it",
      branch: "b",
      commit_sha: "abc",
      pull_request_url: null,
      cost_usd: 0.5,
      turns: 3,
      input_tokens: 10,
      output_tokens: 20,
      session_id: "s",
      files_changed: ["a.txt"],
      model: "m",
    });
    const { result, status, completed_at } = await taskRow();
    assert.equal(status, "completed");
    assert.ok(completed_at);
    assert.deepEqual(result, {
      success: true,
      summary: "did it",
      branch: "b",
      commit_sha: "abc",
      pull_request_url: null,
      cost_usd: 0.5,
      turns: 3,
      attempt: 1,
      files_changed: ["a.txt"],
    });
    const run = await lastRun();
    assert.deepEqual(
      [run.success, run.commit_sha, Number(run.cost_usd), run.turns, run.session_id],
      [true, "abc", 0.5, 3, "s"],
    );
  });

  it("writes code, error and logs of a failure", async () => {
    await db.settle(task, {
      action: "complete",
      success: false,
      failure_code: "agent_error",
      error: "It gave up.",
      logs: "last words",
    });
    const { result } = await taskRow();
    assert.deepEqual(
      [result.success, result.code, result.error, result.logs, result.attempt],
      [false, "agent_error", "It gave up.", "last words", 1],
    );
    const { rows } = await db.pool.query("select code, error from failures");
    assert.deepEqual(rows, [{ code: "agent_error", error: "It gave up." }]);
  });

  it("a repeated settle changes nothing", async () => {
    const run = await db.liveRun(task);
    await db.settle(task);
    const answer = await db.pool.query("select settle_run($1, $2, $3) as answer", [
      db.epoch,
      run?.id,
      { action: "complete", success: false, failure_code: "lost" },
    ]);
    assert.equal(answer.rows[0].answer, "already");
    assert.equal((await taskRow()).result.success, true);
  });

  it("a failure of the infrastructure repeats the run after its pause, counting only such failures in a row", async () => {
    await db.settle(task, { action: "requeue", success: false, failure_code: "lost", retry_after_seconds: 3600 });
    assert.equal(await db.claimAll(), 0);
    assert.equal((await db.why(task)).reason, "retry");
    await db.pool.query("update runs set retry_at = now()");
    await db.claimAll();
    assert.deepEqual([(await lastRun()).attempt, (await lastRun()).retries], [2, 1]);
    await db.settle(task, { action: "requeue", success: false, failure_code: "usage_limit", retry_after_seconds: 0 });
    await db.claimAll();
    assert.deepEqual(
      [(await lastRun()).attempt, (await lastRun()).retries],
      [3, 1],
      "a usage limit is no failed attempt",
    );
    await db.settle(task);
    await db.pool.query("update tasks set status = 'pending' where id = $1", [task]);
    await db.claimAll();
    assert.deepEqual(
      [(await lastRun()).attempt, (await lastRun()).retries],
      [4, 0],
      "rescheduled by hand: counted anew",
    );
  });

  it("reschedule() lets a task that waits after a failure start at once", async () => {
    await db.settle(task, { action: "requeue", success: false, failure_code: "lost", retry_after_seconds: 3600 });
    await db.claimAll();
    await db.pool.query("select reschedule($1)", [task]);
    assert.equal(await db.claimAll(), 1);
  });

  it("a usage limit blocks the credential until the reset, and an earlier reset does not reopen it", async () => {
    const limit = (at: string) => ({
      action: "requeue",
      success: false,
      failure_code: "usage_limit",
      retry_after_seconds: 0,
      blocked_until: at,
      blocked_reason: "5-hour limit",
    });
    const beside = await db.insert({ addressee: "beside" });
    await db.claimAll();
    await db.settle(task, limit("2199-01-01T12:00:00Z"));
    assert.equal(await db.claimAll(), 0);
    assert.match((await db.why(task)).explanation, /blocked until 2199-01-01 .*5-hour limit/);
    await db.settle(beside, limit("2198-01-01T12:00:00Z")); // it began before the limit was known
    const { rows } = await db.pool.query("select blocked_until from credentials where name = 'default'");
    assert.equal(rows[0].blocked_until.toISOString(), "2199-01-01T12:00:00.000Z");
  });

  it("an agent's tasks are made once, with creator and parent, where its profile allows it", async () => {
    await db.settle(task, {
      action: "complete",
      success: true,
      tasks: [
        { prompt: "child", addressee: null, branch: "x", kind: "review" },
        { prompt: " ", addressee: "w" },
      ],
    });
    const { rows } = await db.pool.query(
      "select addressee, prompt, created_by, parent_id, repo_url, branch from tasks where parent_id = $1",
      [task],
    );
    assert.equal(rows.length, 1);
    assert.match(rows[0].addressee, /^worker-[0-9a-f-]{36}$/);
    assert.deepEqual(
      [rows[0].created_by, rows[0].repo_url, rows[0].branch],
      ["project-mgr-web", "https://host/x.git", "x"],
    );
    const refused = await db.pool.query("select detail from task_events where event = 'child_refused'");
    assert.match(refused.rows[0].detail.problem, /prompt is empty/);
  });

  it("a Red's tasks are refused and recorded", async () => {
    const red = await db.insert({ addressee: "worker-1" });
    await db.claimAll();
    await db.settle(red, { action: "complete", success: true, tasks: [{ prompt: "child" }] });
    const { rows } = await db.pool.query("select count(*)::int as count from tasks where parent_id = $1", [red]);
    assert.equal(rows[0].count, 0);
    assert.equal(
      (await db.pool.query("select from task_events where task_id = $1 and event = 'child_refused'", [red])).rowCount,
      1,
    );
  });

  it("of a run that was stopped by hand no children come", async () => {
    await db.pool.query("select stop($1, 'enough')", [task]);
    await db.settle(task, { action: "complete", success: true, tasks: [{ prompt: "child" }] });
    assert.equal((await db.pool.query("select from tasks where parent_id = $1", [task])).rowCount, 0);
    assert.equal((await taskRow()).result.error, "enough");
  });

  it("nor of one whose task was put back by hand while it ran", async () => {
    await db.pool.query("update tasks set status = 'pending' where id = $1", [task]);
    await db.settle(task, {
      action: "complete",
      success: true,
      tasks: [{ prompt: "child" }],
      finish_epic: { success: true },
    });
    assert.equal((await db.pool.query("select from tasks where parent_id = $1", [task])).rowCount, 0);
    assert.equal((await db.pool.query("select from epics where state = 'active'")).rowCount, 1);
  });

  it("spend sums what runs used", async () => {
    await db.settle(task, { action: "complete", success: true, cost_usd: 0.25, turns: 2, model: "m" });
    const { rows } = await db.pool.query("select credential, model, runs::int, cost_usd::float, turns::int from spend");
    assert.deepEqual(rows, [{ credential: "default", model: "m", runs: 1, cost_usd: 0.25, turns: 2 }]);
  });
});
