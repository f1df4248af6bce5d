/** Epics whose tasks several sessions end at the same time: nobody waits for somebody who waits for him. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type pg from "pg";
import { eventually } from "../support/waiting.ts";
import { epicStage, failed, GREEN } from "./epic-stage.ts";
import type { EpicStage } from "./epic-stage.ts";

describe("sessions that end tasks of one epic", () => {
  let stage: EpicStage;
  const open: pg.PoolClient[] = [];
  beforeEach(async () => {
    stage = await epicStage();
  });
  afterEach(async () => {
    for (const client of open.splice(0)) client.release(true);
    await stage.db.close();
  });
  const query = async (text: string, values: unknown[] = []) => (await stage.db.pool.query(text, values)).rows;
  const taskOf = async (prompt: string) => (await query("select id from tasks where prompt = $1", [prompt]))[0].id;

  /** Holds these epics until `commit` is called. */
  const holding = async (...epics: string[]) => {
    const client = await stage.db.pool.connect();
    open.push(client);
    await client.query("begin");
    await client.query("select from epics where id = any ($1) for update", [epics]);
    return { commit: () => client.query("commit") };
  };
  const waiting = (sessions: number) =>
    eventually(`${sessions} sessions wait`, async () => {
      const rows = await query(
        "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      return rows.length === sessions;
    });
  /** Starts the statement in a session of its own, and returns once so many sessions wait for locks. */
  const start = async (sessions: number, text: string, values: unknown[] = []) => {
    const client = await stage.db.pool.connect();
    open.push(client);
    const done = client.query(text, values).then(
      () => null,
      (error: unknown) => (error as Error).message,
    );
    await waiting(sessions);
    return { done };
  };
  const settlement = async (prompt: string, outcome: Record<string, unknown>) => ({
    run_id: (await stage.db.liveRun(await taskOf(prompt)))?.id,
    action: "complete",
    success: true,
    summary: "done",
    ...outcome,
  });
  const settle = async (sessions: number, ...settlements: Record<string, unknown>[]) =>
    start(sessions, "select settle_runs($1, $2)", [stage.db.epoch, JSON.stringify(settlements)]);

  /** A person's session with an open transaction that holds this task. */
  const editing = async (prompt: string) => {
    const client = await stage.db.pool.connect();
    open.push(client);
    await client.query("begin");
    await client.query("select from tasks where prompt = $1 for update", [prompt]);
    return client;
  };

  it("a settle that ends the epic gives way to a person who already edits a task of it, and comes again", async () => {
    const epic = await stage.file({ max_failures_in_a_row: 1 });
    await stage.plan([{ prompt: "one" }, { prompt: "two" }, { prompt: "three" }]);
    await stage.db.claimAll();
    const person = await editing("two");
    const held = await holding(epic);
    const settled = await settle(1, await settlement("one", failed()));
    const edited = person.query("update tasks set status = 'completed' where prompt = 'two'");
    await waiting(2);
    await held.commit();
    assert.match((await settled.done) ?? "", /^Somebody changes task .* its epic .* is to end with this: try again\.$/);
    await edited;
    assert.equal(await stage.db.status(await taskOf("one")), "running");
    assert.equal((await stage.epic(epic))["state"], "active");
    await person.query("commit");
    const again = await settle(0, await settlement("one", failed()));
    assert.equal(await again.done, null);
    assert.equal((await stage.epic(epic))["end_code"], "max_failures_in_a_row");
    const [two] = await query("select result from tasks where prompt = 'two'");
    assert.equal(two.result.error, "Stopped by hand.");
    const audited = await query(
      "select event from task_events e join tasks t on t.id = e.task_id where t.prompt = 'one' and event <> 'started'",
    );
    assert.deepEqual(audited, [{ event: "completed" }]);
  });

  it("of two people, one of whom ends the epic while the other edits a task of it, the one is told to try again", async () => {
    const epic = await stage.file({ max_failures_in_a_row: 1 });
    await stage.plan([{ prompt: "one" }, { prompt: "two" }]);
    await stage.db.claimAll();
    const person = await editing("two");
    const fails = `update tasks set status = 'completed', result = '{"success": false, "code": "wrong"}' where prompt = 'one'`;
    await assert.rejects(query(fails), { code: "MZ006" });
    await person.query("update tasks set status = 'completed' where prompt = 'two'");
    await person.query("commit");
    await query(fails);
    assert.equal((await stage.epic(epic))["end_code"], "max_failures_in_a_row");
  });

  it("who stops the epic waits for a person who edits a task of it, and holds nobody up meanwhile", async () => {
    const epic = await stage.file();
    await stage.plan([{ prompt: "one" }, { prompt: "two" }]);
    await stage.db.claimAll();
    const person = await editing("two");
    const stopped = await start(1, "select stop_epic($1)", [epic]);
    await person.query("update tasks set status = 'completed' where prompt = 'two'");
    await person.query("commit");
    assert.equal(await stopped.done, null);
    assert.equal((await stage.epic(epic))["state"], "stopped");
  });

  for (const [ending, limits, outcome] of [
    ["a failure too many", { max_failures_in_a_row: 1 }, failed()],
    ["the last run", { max_runs: 2 }, {}],
  ] as const) {
    it(`a settle that ends the epic (${ending}), and a person who stops another task of it`, async () => {
      const epic = await stage.file(limits);
      await stage.plan([{ prompt: "one" }, { prompt: "two" }]);
      await stage.db.claimAll();
      const held = await holding(epic);
      const settled = await settle(1, await settlement("one", outcome));
      const stopped = await start(2, "update tasks set status = 'completed' where prompt = 'two'");
      await held.commit();
      assert.deepEqual(await Promise.all([settled.done, stopped.done]), [null, null]);
      assert.equal((await stage.epic(epic))["state"], "failed");
      assert.equal(await stage.db.status(await taskOf("two")), "completed");
    });
  }

  it("a finish of Green's, and a person who stops a task of the epic", async () => {
    const epic = await stage.file();
    await stage.plan([{ prompt: "one" }, { prompt: "two" }]);
    await stage.work("one");
    await stage.db.claimAll();
    const [green] = await query("select id from tasks where addressee = $1 and status = 'running'", [GREEN]);
    const run = await stage.db.liveRun(green.id);
    const held = await holding(epic);
    const finish = { run_id: run?.id, action: "complete", success: true, finish_epic: { success: true, summary: "" } };
    const settled = await settle(1, finish);
    const stopped = await start(2, "update tasks set status = 'completed' where prompt = 'two'");
    await held.commit();
    assert.deepEqual(await Promise.all([settled.done, stopped.done]), [null, null]);
    assert.equal((await stage.epic(epic))["state"], "finished");
  });

  it("a result that joins a wake-up, and a person who cancels that wake-up", async () => {
    const epic = await stage.file();
    await stage.plan([{ prompt: "one" }, { prompt: "two" }]);
    await stage.work("one");
    const [wakeUp] = await stage.wakeUps(epic);
    const held = await holding(epic);
    const settled = await settle(1, await settlement("two", {}));
    const cancelled = await start(2, "update tasks set status = 'completed' where id = $1", [wakeUp?.["id"]]);
    await held.commit();
    assert.deepEqual(await Promise.all([settled.done, cancelled.done]), [null, null]);
    const told = await query("select wake_up_id from wake_up_results where task_id = $1", [await taskOf("two")]);
    assert.equal(told.length, 1);
  });

  it("a settle of tasks of several epics, and the engine's look at all of them", async () => {
    const earlier = await stage.file();
    const later = await stage.file();
    await query("insert into addressees (addressee, capacity) values ($1, 2)", [GREEN]);
    // so that what the settle comes to first is of the epic that the look comes to last
    await query("update tasks set created_at = created_at - interval '1 hour' where id = $1", [later]);
    await stage.plan([{ prompt: "of the later" }]);
    await stage.plan([{ prompt: "of the earlier" }]);
    await stage.db.claimAll();
    const held = await holding(earlier);
    const looked = await start(1, "select wake_idle_epics($1)", [stage.db.epoch]);
    const settled = await settle(2, await settlement("of the later", {}), await settlement("of the earlier", {}));
    await held.commit();
    assert.deepEqual(await Promise.all([looked.done, settled.done]), [null, null]);
  });
});
