/** Kept work and what a run says of its credential, as the schema has it. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import pg from "pg";
import { settlementOf } from "../../engine/domain/outcome.ts";
import { jobEnd } from "../../engine/domain/job.ts";
import { pastOfRuns } from "../../engine/store/settle.ts";
import type { Report } from "../../worker-image/contract.ts";
import { failedReport } from "../../worker-image/run-failure.ts";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";

describe("what runs leave", () => {
  let db: SchemaClient;
  let pod: pg.Pool;
  let task: string;
  before(async () => {
    db = await schemaClient();
    pod = new pg.Pool({ connectionString: db.test.url("pod"), max: 2 });
  });
  after(async () => {
    await pod.end();
    await db.close();
  });
  beforeEach(async () => {
    await db.pool.query("delete from tasks");
    await db.pool.query("delete from runs");
    await db.pool.query(
      "update credentials set blocked_until = null, blocked_reason = null, overloads_in_a_row = 0, warned_until = null",
    );
    task = await db.insert({ addressee: "a", prompt: "p", repo_url: "file:///r", branch: "b" });
  });

  const live = async () => (await db.liveRun(task))?.id ?? "";
  const bind = async (run: string) =>
    (await pod.query("select load_brief($1, $2, 'pod-1') as brief", [run, db.token(run)])).rows[0].brief;
  const store = (
    run: string,
    values: unknown[] = ["b", "base", "head", Buffer.from("bundle"), null, null],
    by = "pod-1",
  ) => pod.query("select store_work($1, $2, $3, $4, $5, $6, $7, $8, $9)", [run, db.token(run), by, ...values]);
  const load = async (run: string) =>
    (await pod.query("select * from load_work($1, $2, 'pod-1')", [run, db.token(run)])).rows[0];
  const credential = async () => (await db.pool.query("select * from credentials where name = 'default'")).rows[0];

  /** Claims, lets the run keep something (or not), and ends it as the engine would. */
  async function attempt(report: Partial<Report>, keeps = true): Promise<string> {
    await db.pool.query("update credentials set blocked_until = null");
    await db.claimAll();
    const run = await live();
    assert.notEqual(run, "", "it was claimed");
    await bind(run);
    if (keeps) await store(run);
    const whole = { ...failedReport({ code: "usage_limit", error: "Limit." }), ...report };
    const past = (await pastOfRuns(db.engine, [{ id: run, code: whole.code ?? "" }])).get(run);
    const settlement = settlementOf({ retries: 0, stopReason: null, report: whole, past }, jobEnd({}), new Date(), 0);
    assert.equal(await db.settle(task, { ...settlement }), "settled");
    return run;
  }

  it("the attempt after a usage limit goes on from its work, also after a failure of the infrastructure in between", async () => {
    const first = await attempt({});
    await db.pool.query("update credentials set blocked_until = null");
    await db.claimAll();
    const second = await live();
    const brief = await bind(second);
    assert.deepEqual(brief.continues, {
      run_id: first,
      base_sha: "base",
      head_sha: "head",
      session_id: null,
      code: "usage_limit",
      error: "Limit.",
    });
    assert.deepEqual(
      { ...(await load(second)), bundle: null },
      {
        branch: "b",
        head_sha: "head",
        bundle: null,
        session_id: null,
        session: null,
        tasks: [],
        finish_epic: null,
      },
    );
    await db.settle(task, { action: "requeue", success: false, failure_code: "lost", retry_after_seconds: 0 });
    await db.claimAll();
    assert.equal((await bind(await live())).continues.run_id, first);
  });

  it("what its agent had put into the outbox comes along", async () => {
    await db.claimAll();
    const run = await live();
    await bind(run);
    await store(run);
    const report = { ...failedReport({ code: "usage_limit", error: "x" }), tasks: [{ prompt: "child" }] };
    await pod.query("select write_report($1, $2, 'pod-1', $3, true)", [run, db.token(run), JSON.stringify(report)]);
    await assert.rejects(store(run), { code: "MZ003" }, "a run whose report is in keeps nothing more");
    await db.settle(task, { action: "requeue", success: false, failure_code: "usage_limit", retry_after_seconds: 0 });
    await db.claimAll();
    await bind(await live());
    assert.deepEqual((await load(await live())).tasks, [{ prompt: "child" }]);
  });

  it("a task that is put back by hand starts from the start, unless it is told to go on", async () => {
    await attempt({});
    await db.pool.query("update credentials set blocked_until = null");
    await db.pool.query("select reschedule($1)", [task]);
    await db.claimAll();
    assert.equal((await bind(await live())).continues, null);
    assert.equal(await load(await live()), undefined);
    await db.settle(task, { action: "complete", success: false, failure_code: "max_turns", error: "x" });
    await db.pool.query("select reschedule($1, continue => true)", [task]);
    await db.claimAll();
    assert.equal((await bind(await live())).continues.code, "usage_limit", "of the newest that left something");
    await db.settle(task, { action: "complete", success: false, failure_code: "max_turns", error: "x" });
    await db.pool.query("update tasks set status = 'pending' where id = $1", [task]); // says nothing of going on
    await db.claimAll();
    assert.equal((await bind(await live())).continues, null);
  });

  it("who goes on from a live run that then leaves nothing goes on from what an earlier one left", async () => {
    const first = await attempt({ code: "max_turns" });
    await db.pool.query("select reschedule($1)", [task]);
    await db.claimAll();
    const second = await live();
    await db.pool.query("select reschedule($1, continue => true)", [task]);
    await db.settle(task, { action: "complete", success: false, failure_code: "stopped", error: "x" });
    await db.claimAll();
    const third = await live();
    assert.notEqual(third, second);
    assert.equal((await bind(third)).continues.run_id, first);
  });

  it("only the pod that the run is bound to may keep work, and nobody more than is allowed", async () => {
    await db.claimAll();
    const run = await live();
    await assert.rejects(store(run), { code: "MZ003" }, "not bound yet");
    await bind(run);
    await assert.rejects(store(run, undefined, "pod-2"), { code: "MZ003" });
    await assert.rejects(store(run, ["b", "x", "y", Buffer.alloc(33_554_433), null, null]), { code: "MZ002" });
    await assert.rejects(pod.query("select * from run_work"), { code: "42501" });
    const brief = "select load_stopped_brief($1, $2, 'pod-1') as brief";
    await db.pool.query("select stop($1)", [task]);
    await assert.rejects(pod.query("select load_brief($1, $2, 'pod-1')", [run, db.token(run)]), { code: "MZ003" });
    assert.equal((await pod.query(brief, [run, db.token(run)])).rows[0].brief.run_id, run);
    await store(run);
    await db.settle(task, { action: "complete", success: false, failure_code: "stopped", error: "x" });
    await assert.rejects(store(run), { code: "MZ003" });
    await assert.rejects(pod.query(brief, [run, db.token(run)]), { code: "MZ003" });
  });

  it("three usage limits in a row in which nothing got done end the task; one in which something did counts anew", async () => {
    await attempt({});
    await attempt({ output_tokens: 5 });
    await attempt({});
    assert.equal(await db.status(task), "pending");
    await attempt({});
    assert.equal(await db.status(task), "pending");
    await attempt({});
    assert.equal(await db.status(task), "completed");
    const { rows } = await db.pool.query("select result from tasks where id = $1", [task]);
    assert.match(rows[0].result.error, /3 times in a row/);
  });

  it("overloads pause the credential longer each time, count no retry, and a success begins anew", async () => {
    const overloaded = { code: "api_overloaded", error: "529" } as const;
    for (const seconds of [30, 60, 120]) {
      await attempt(overloaded, false);
      const { blocked_until, blocked_reason } = await credential();
      assert.ok(Math.abs((blocked_until.getTime() - Date.now()) / 1000 - seconds) < 25, String(blocked_until));
      assert.equal(blocked_reason, "529");
      assert.match((await db.why(task)).explanation, /Credential "default" is blocked until .*: 529/);
    }
    assert.equal((await credential()).overloads_in_a_row, 3);
    await attempt({ success: true, code: null, error: null }, false);
    assert.equal((await credential()).overloads_in_a_row, 0);
    const { rows } = await db.pool.query("select max(retries) as retries from runs");
    assert.equal(rows[0].retries, 0);
  });

  it("paid extra usage blocks the credential until a person clears it, and why says so", async () => {
    await attempt({ code: "cost_guard", error: "Paid.", paid_usage: true }, false);
    assert.equal((await credential()).blocked_until, Infinity);
    const other = await db.insert({ addressee: "other", prompt: "p" });
    assert.equal(await db.claimAll(), 0);
    assert.match(
      (await db.why(other)).explanation,
      /blocked until blocked_until is cleared by hand: .*paid extra usage/,
    );
  });

  it("a warning is noted, only ever later, and the result says that work was kept", async () => {
    const at = Math.floor(Date.now() / 1000);
    await attempt({ code: "max_turns", error: "x", warned_until: at + 600, work_kept: true });
    const { rows } = await db.pool.query("select result from tasks where id = $1", [task]);
    assert.equal(rows[0].result.work_kept, true);
    assert.equal((await credential()).warned_until.getTime(), (at + 605) * 1000);
    await db.pool.query("select reschedule($1)", [task]);
    await attempt({ success: true, code: null, error: null, warned_until: at + 300 }, false);
    assert.equal((await credential()).warned_until.getTime(), (at + 605) * 1000);
  });

  it("kept work goes with its run", async () => {
    await attempt({ code: "max_turns", error: "x" });
    await db.pool.query("delete from runs");
    assert.deepEqual((await db.pool.query("select * from run_work")).rows, []);
  });
});
