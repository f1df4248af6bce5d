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
  /** Starts the statement in a session of its own, and returns once so many sessions wait for locks. */
  const start = async (waiting: number, text: string, values: unknown[] = []) => {
    const client = await stage.db.pool.connect();
    open.push(client);
    const done = client.query(text, values).then(
      () => null,
      (error: unknown) => (error as Error).message,
    );
    await eventually(`${waiting} sessions wait`, async () => {
      const rows = await query(
        "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      return rows.length === waiting;
    });
    return { done };
  };
  const settlement = async (prompt: string, outcome: Record<string, unknown>) => ({
    run_id: (await stage.db.liveRun(await taskOf(prompt)))?.id,
    action: "complete",
    success: true,
    summary: "done",
    ...outcome,
  });
  const settle = async (waiting: number, ...settlements: Record<string, unknown>[]) =>
    start(waiting, "select settle_runs($1, $2)", [stage.db.epoch, JSON.stringify(settlements)]);

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
