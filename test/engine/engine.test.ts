/** The engine's loops on a real database, with a launcher whose jobs are cheap. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { EngineOptions } from "../../engine/engine.ts";
import { openSession } from "../../engine/store/connection.ts";
import { doneReport, instantLauncher } from "../support/instant-launcher.ts";
import type { InstantLauncher } from "../support/instant-launcher.ts";
import { testDatabase } from "../support/postgres.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { startTestEngine } from "../support/test-engine.ts";
import type { TestEngine } from "../support/test-engine.ts";
import { eventually } from "../support/waiting.ts";

interface RunningEngine extends TestEngine {
  epochs: number[];
}

describe("the engine", () => {
  let test: TestDatabase;
  let engines: RunningEngine[];
  beforeEach(async () => {
    test = await testDatabase();
    engines = [];
  });
  afterEach(async () => {
    await Promise.all(engines.map((engine) => engine.stop()));
    await test.close();
  });

  const start = (launcher: InstantLauncher, options: Partial<EngineOptions> = {}): RunningEngine => {
    const epochs: number[] = [];
    const onLead = (epoch: number) => void epochs.push(epoch);
    const engine = { epochs, ...startTestEngine(test, launcher, { onLead, ...options }) };
    engines.push(engine);
    return engine;
  };
  const leading = (engine: RunningEngine, times = 1) =>
    eventually("the engine leads", () => engine.epochs.length >= times);
  const insert = async (addressee = "w", prompt = "p"): Promise<string> =>
    (await test.pool.query("insert into tasks (addressee, prompt) values ($1, $2) returning id", [addressee, prompt]))
      .rows[0].id;
  const task = async (id: string) => (await test.pool.query("select * from tasks where id = $1", [id])).rows[0];
  const completed = (id: string) =>
    eventually(`task ${id} completes`, async () => ((await task(id))?.status === "completed" ? task(id) : null));
  /** It holds the asleep lock: whoever inserts now notifies. */
  const asleep = () =>
    eventually("the engine sleeps", async () => {
      const { rows } = await test.pool.query(
        "select from pg_locks where locktype = 'advisory' and classid = 1299798577 and objid = 3 and granted and mode = 'ExclusiveLock' and database = (select oid from pg_database where datname = current_database())",
      );
      return rows.length > 0;
    });
  const jobOf = (launcher: InstantLauncher, id: string) =>
    eventually(`task ${id} has a job`, () => [...launcher.jobs.keys()].find((name) => name.includes(id)));

  it("runs a task from INSERT to result, woken by NOTIFY alone", async () => {
    const engine = start(instantLauncher({ finishAtOnce: true }));
    await leading(engine);
    const done = await completed(await insert());
    assert.equal(done.result.summary, "done");
    assert.equal(
      (await test.pool.query("select from runs where finished_at is not null and launched_at is not null")).rowCount,
      1,
    );
  });

  it("starts a task within one poll interval when its NOTIFY is lost", async () => {
    const pollIntervalMs = 1_000;
    const launcher = instantLauncher({ finishAtOnce: true });
    await leading(start(launcher, { pollIntervalMs }));
    await completed(await insert());
    await asleep();
    // With triggers off nothing is notified; the log of lanes is written by hand, as the trigger does.
    const id = crypto.randomUUID();
    await test.pool.query(`
      begin;
      set local session_replication_role = replica;
      insert into tasks (id, addressee, prompt) values ('${id}', 'unheard', 'p');
      insert into lane_changes values ('unheard');
      commit`);
    // Nothing but the poll tells of it.
    await eventually("the task is launched", () => launcher.launched.some((spec) => spec.taskId === id));
  });

  it("completes a task as soon as its report is stored, and keeps the slot until the job has ended", async () => {
    const launcher = instantLauncher();
    await leading(start(launcher));
    const [first, second] = [await insert("one", "first"), await insert("one", "second")];
    const jobName = await jobOf(launcher, first);
    const spec = launcher.launched.find((launched) => launched.jobName === jobName);
    const pod = await openSession({ url: test.url("pod"), applicationName: "pod", max: 1 });
    try {
      await pod.query("select load_brief($1, $2, 'pod-1')", [spec?.runId, spec?.token]);
      await pod.query("select write_report($1, $2, 'pod-1', $3, true)", [spec?.runId, spec?.token, doneReport]);
    } finally {
      await pod.end();
    }
    assert.equal((await completed(first)).result.summary, "done");
    const run = async () => (await test.pool.query("select * from runs where task_id = $1", [first])).rows[0];
    assert.equal((await run()).finished_at, null);
    assert.equal((await task(second)).status, "pending");
    assert.equal((await test.pool.query("select reason from why_not_running($1)", [second])).rows[0].reason, "slot");
    assert.deepEqual(launcher.stopped, [], "it ends by itself");

    launcher.finish(jobName, { summary: "not what the stored report says" });
    await jobOf(launcher, second);
    const { success, failure_code, turns } = await run();
    assert.deepEqual({ success, failure_code, turns }, { success: true, failure_code: null, turns: 1 });
    assert.equal((await task(first)).result.summary, "done");
    const { rows } = await test.pool.query("select event from task_events where task_id = $1 order by id", [first]);
    assert.deepEqual(
      rows.map(({ event }) => event),
      ["started", "completed"],
    );
  });

  it("runs what was inserted before it started", async () => {
    const ids = [await insert("a"), await insert("a"), await insert("b")];
    start(instantLauncher({ finishAtOnce: true }));
    for (const id of ids) await completed(id);
  });

  it("never overlaps two tasks of one addressee and keeps their order, while others run beside them", async () => {
    const launcher = instantLauncher();
    await leading(start(launcher));
    const [first, second, other] = [await insert("w"), await insert("w"), await insert("x")];
    launcher.finish(await jobOf(launcher, other));
    await completed(other);
    const job = await jobOf(launcher, first);
    assert.equal(launcher.launched.length, 2);
    launcher.finish(job);
    await completed(first);
    launcher.finish(await jobOf(launcher, second));
    await completed(second);
    assert.deepEqual(
      launcher.launched.map((spec) => spec.taskId).filter((id) => id !== other),
      [first, second],
    );
  });

  it("stops the job of a task that was rescheduled by hand, then runs it again", async () => {
    const launcher = instantLauncher();
    await leading(start(launcher));
    const id = await insert();
    const job = await jobOf(launcher, id);
    await test.pool.query("update tasks set status = 'pending' where id = $1", [id]);
    await eventually("a second attempt", () => launcher.launched.some((spec) => spec.attempt === 2));
    assert.deepEqual([...new Set(launcher.stopped)], [job]);
  });

  it("stops the job of a deleted task and keeps its run", async () => {
    const launcher = instantLauncher();
    await leading(start(launcher));
    const id = await insert();
    await jobOf(launcher, id);
    await test.pool.query("delete from tasks where id = $1", [id]);
    await eventually(
      "the run ends",
      async () => (await test.pool.query("select from runs where finished_at is not null")).rowCount,
    );
    await eventually("the job is removed", () => launcher.jobs.size === 0);
  });

  it("a usage limit blocks the credential: nothing starts with it again, no retry storm", async () => {
    const launcher = instantLauncher();
    await leading(start(launcher, { pollIntervalMs: 50 }));
    const id = await insert();
    const resets = Math.floor(Date.now() / 1000) + 3600;
    launcher.finish(await jobOf(launcher, id), {
      success: false,
      code: "usage_limit",
      error: "5-hour limit",
      resets_at: resets,
    });
    await eventually(
      "the credential is blocked",
      async () => (await test.pool.query("select from credentials where blocked_until > now()")).rowCount,
    );
    await insert("someone-else");
    const blocked = await eventually(
      "why",
      async () => (await test.pool.query("select * from why_not_running($1)", [id])).rows[0],
    );
    assert.equal(blocked.reason, "credential");
    assert.equal(launcher.launched.length, 1);
    await test.pool.query("update credentials set blocked_until = now()"); // the reset
    await eventually("it resumes by itself", () => launcher.launched.length === 3);
  });

  it("leaves jobs running when it stops; the next engine adopts and settles them", async () => {
    const first = instantLauncher();
    const engine = start(first);
    await leading(engine);
    const id = await insert();
    const job = await jobOf(first, id);
    await engine.stop();
    assert.equal(first.stopped.length, 0);
    const second = instantLauncher({ jobs: first.jobs });
    await leading(start(second));
    second.finish(job);
    await completed(id);
    assert.equal(second.launched.length, 0);
  });

  it("launches again what was claimed by an engine that died before it launched", async () => {
    const id = await insert();
    const dying = instantLauncher({
      onLaunch: () => {
        throw new Error("killed here");
      },
    });
    const engine = start(dying);
    await eventually("the claim", async () => (await task(id)).status === "running");
    await engine.stop();
    const launcher = instantLauncher({ finishAtOnce: true });
    start(launcher);
    assert.equal((await completed(id)).result.attempt, 1);
  });

  it("a job that was deleted by hand is run again", async () => {
    const launcher = instantLauncher();
    await leading(start(launcher));
    const id = await insert();
    const job = await jobOf(launcher, id);
    await eventually("marked as launched", async () => (await task(id)).worker_pod);
    launcher.lose(job);
    await eventually("a second attempt", () => launcher.launched.some((spec) => spec.attempt === 2));
    const { rows } = await test.pool.query("select failure_code from runs where attempt = 1");
    assert.equal(rows[0].failure_code, "job_deleted");
  });

  it("ends a job of ours that has no live run", async () => {
    const launcher = instantLauncher();
    const first = start(launcher);
    await leading(first);
    const id = await insert();
    await jobOf(launcher, id);
    await first.stop();
    await launcher.launch({
      ...(launcher.launched[0] as (typeof launcher.launched)[0]),
      jobName: "task-x-1",
      runId: "00000000-0000-4000-8000-000000000000",
    });
    await leading(start(launcher));
    await eventually("the orphan is gone", () => !launcher.jobs.has("task-x-1"));
    assert.equal(launcher.jobs.size, 1);
  });

  it("waits with a reason while no credential is configured, and starts when one is", async () => {
    let problem: string | null = "No Claude token: run myzel login.";
    const launcher = instantLauncher({ problem: () => problem, finishAtOnce: true });
    await leading(start(launcher));
    await eventually(
      "the problem is noted",
      async () => (await test.pool.query("select from credentials where problem is not null")).rowCount,
    );
    const id = await insert();
    assert.equal(
      (await test.pool.query("select * from why_not_running($1)", [id])).rows[0].explanation,
      'Credential "default" cannot be used: No Claude token: run myzel login.',
    );
    problem = null;
    await test.pool.query("notify myzel");
    await completed(id);
  });

  it("of two engines one leads; the other takes over when it stops", async () => {
    const jobs = new Map();
    const first = start(instantLauncher({ jobs, finishAtOnce: true }));
    await leading(first);
    const second = start(instantLauncher({ jobs, finishAtOnce: true }));
    await completed(await insert());
    assert.equal(second.epochs.length, 0);
    await first.stop();
    await leading(second);
    assert.ok((second.epochs[0] ?? 0) > (first.epochs[0] ?? 0));
    await completed(await insert());
  });

  it("replaces a leader that holds the lock but no longer beats, and the silent one writes no more", async () => {
    const silent = await test.pool.connect();
    const login = new (await import("pg")).default.Client({
      connectionString: test.url("engine"),
      application_name: "myzel-engine 00000000-0000-4000-8000-000000000000",
    });
    login.on("error", () => {}); // it will be terminated
    await login.connect();
    await login.query("select pg_try_advisory_lock(1299798577, 1)");
    const { rows } = await login.query(
      "select raise_epoch('00000000-0000-4000-8000-000000000000', 'h', 1, '0', 'process', 1, (select key_hash from engine_state)) as epoch",
    );
    silent.release();
    await test.pool.query(
      "update engine_state set key_hash = null; update engine_beat set beat_at = now() - interval '11 seconds'",
    );
    const engine = start(instantLauncher({ finishAtOnce: true }));
    await leading(engine);
    await assert.rejects(login.query("select 1"));
    await assert.rejects(test.pool.query("select beat($1)", [rows[0].epoch]), /is over/);
    await completed(await insert());
  });

  it("goes on by itself after the database threw out all its sessions", async () => {
    const engine = start(instantLauncher({ finishAtOnce: true }));
    await leading(engine);
    await test.pool.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'myzel-engine %' and datname = current_database()",
    );
    const id = await insert();
    await completed(id);
    await leading(engine, 2);
  });

  it("refuses to lead with another run key than the engines before it", async () => {
    await leading(start(instantLauncher()));
    await engines[0]?.stop();
    const other = start(instantLauncher(), { runKey: Buffer.alloc(32, 2) });
    engines.pop();
    await assert.rejects(other.ended, /run key is not the one/);
  });
});
