import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import pg from "pg";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";

describe("the pod's functions", () => {
  let db: SchemaClient;
  let pod: pg.Client;
  let run: string;
  let task: string;
  beforeEach(async () => {
    db = await schemaClient();
    task = await db.insert({ prompt: "say hello", repo_url: "https://host/x.git" });
    await db.claimAll();
    run = (await db.liveRun(task))?.id ?? "";
    pod = new pg.Client({ connectionString: db.test.url("pod") });
    await pod.connect();
  });
  afterEach(async () => {
    await pod.end();
    await db.close();
  });

  const loadBrief = async (boundTo = "pod-1", token = db.token(run)) =>
    (await pod.query("select load_brief($1, $2, $3) as brief", [run, token, boundTo])).rows[0].brief;
  const writeReport = (report: object, final: boolean, boundTo = "pod-1", token = db.token(run)) =>
    pod.query("select write_report($1, $2, $3, $4, $5)", [run, token, boundTo, report, final]);
  const fenced = { code: "MZ003" };

  it("load_brief returns the brief and names the branch to make", async () => {
    const brief = await loadBrief();
    assert.equal(brief.prompt, "say hello");
    assert.equal(brief.branch, `myzel/${task}`);
    assert.deepEqual(
      [brief.attempt, brief.profile.name, brief.profile.time_limit_seconds, brief.announced],
      [1, "red", 7200, null],
    );
  });

  it("the first call binds the run: another pod is turned away, the same one may repeat", async () => {
    await loadBrief("pod-1");
    await assert.rejects(loadBrief("pod-2"), fenced);
    await loadBrief("pod-1");
    await assert.rejects(writeReport({ success: true }, true, "pod-2"), fenced);
  });

  it("another token, another run's token and an unbound report are turned away", async () => {
    await assert.rejects(loadBrief("pod-1", "0".repeat(64)), fenced);
    await assert.rejects(writeReport({}, true), fenced, "nobody has loaded the brief");
    const other = await db.insert({ addressee: "other" });
    await db.claimAll();
    await assert.rejects(loadBrief("pod-1", db.token((await db.liveRun(other))?.id ?? "")), fenced);
  });

  it("the token dies with the run, and when the run is to be stopped", async () => {
    await loadBrief();
    await db.pool.query("select stop($1)", [task]);
    await assert.rejects(writeReport({ success: true }, true), fenced);
    await db.settle(task, { action: "complete", success: false, failure_code: "stopped" });
    await assert.rejects(loadBrief(), fenced);
  });

  it("a final report stays; the announcement may be repeated and reaches the attempt that repeats the run", async () => {
    await loadBrief();
    await writeReport({ commit_sha: "old" }, false);
    await writeReport({ commit_sha: "abc" }, false);
    await db.settle(task, { action: "requeue", success: false, failure_code: "lost", retry_after_seconds: 0 });
    await db.claimAll();
    run = (await db.liveRun(task))?.id ?? "";
    assert.deepEqual((await loadBrief("pod-2")).announced, { commit_sha: "abc" });
    await writeReport({ first: true }, true, "pod-2");
    await writeReport({ second: true }, true, "pod-2");
    const { rows } = await db.pool.query("select report from runs where id = $1", [run]);
    assert.deepEqual(rows[0].report, { first: true });
  });

  it("a rescheduled task knows nothing of what earlier runs announced", async () => {
    await loadBrief();
    await writeReport({ commit_sha: "abc" }, false);
    await db.settle(task);
    await db.pool.query("select reschedule($1)", [task]);
    await db.claimAll();
    run = (await db.liveRun(task))?.id ?? "";
    assert.equal((await loadBrief("pod-2")).announced, null);
  });

  it("store_transcript keeps the last one", async () => {
    await loadBrief();
    for (const text of ["one", "two"]) {
      await pod.query("select store_transcript($1, $2, 'pod-1', $3, $4, false)", [
        run,
        db.token(run),
        Buffer.from(text),
        text.length,
      ]);
    }
    const { rows } = await db.pool.query("select content from run_transcripts where run_id = $1", [run]);
    assert.equal(rows[0].content.toString(), "two");
  });

  it("of the epics it names, a run is told those that ended long ago and had a plan", async () => {
    await loadBrief();
    const ids = Array.from({ length: 5 }, (_, at) => `00000000-0000-7000-8000-00000000000${at}`);
    const [old, young, active, planless, unknown] = ids;
    const insert = `insert into epics (id, addressee, title, state, end_code, ended_at, plan_commit)
      values ($1, 'g', 't', $2, $3, myzel_now() - $4::interval, $5)`;
    await db.pool.query(insert, [old, "stopped", "stopped", "14 days 1 minute", "abc"]);
    await db.pool.query(insert, [young, "finished", "finished", "13 days 23 hours", "abc"]);
    await db.pool.query(insert, [active, "active", null, null, "abc"]);
    await db.pool.query(insert, [planless, "failed", "gave_up", "1 year", null]);
    const ask = async (named: unknown[], boundTo = "pod-1") =>
      (await pod.query("select * from ended_epics($1, $2, $3, $4::uuid[])", [run, db.token(run), boundTo, named])).rows;
    assert.deepEqual(await ask([unknown, planless, active, young, old]), [{ id: old, plan_commit: "abc" }]);
    assert.deepEqual(await ask([]), []);
    await assert.rejects(ask([old], "pod-2"), fenced);
  });

  it("the pod's login can call these and nothing else", async () => {
    const denied = { code: "42501" };
    for (const statement of [
      "select * from tasks",
      "select * from runs",
      "insert into tasks (addressee, prompt) values ('a', 'p')",
      "select * from credentials",
      "select enqueue('a', 'p')",
      "select stop(gen_random_uuid())",
      "select claim_runs(1, 'x', 'x', 1, '{}', '{}')",
      "create table mine ()",
      "select * from queue",
    ]) {
      await assert.rejects(pod.query(statement), denied, statement);
    }
    const { rows } = await pod.query(
      "select p.proname from pg_proc p where p.pronamespace = 'public'::regnamespace and has_function_privilege(p.oid, 'execute') order by 1",
    );
    assert.deepEqual(
      rows.map((row) => row.proname),
      [
        "ended_epics",
        "load_brief",
        "load_stopped_brief",
        "load_work",
        "store_transcript",
        "store_work",
        "write_report",
      ],
    );
    const tables = await pod.query(
      "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v') and has_table_privilege(oid, 'select, insert, update, delete')",
    );
    assert.deepEqual(tables.rows, []);
  });
});
