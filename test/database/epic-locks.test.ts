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
  /**
   * Settles in a session of its own, and again for as long as somebody else has an epic or a task of it, as the engine does.
   * (It waits in no line: when an epic comes free it may have it before a person who waited for it, and gives way to him.)
   */
  const settle = async (...settlements: Record<string, unknown>[]) => {
    const client = await stage.db.pool.connect();
    open.push(client);
    let tries = 0;
    const settleAll = async (): Promise<null> => {
      const values = [stage.db.epoch, JSON.stringify(settlements)];
      const answers = await client.query("select answer from settle_runs($1, $2)", values).then(
        ({ rows }) => rows.map(({ answer }) => answer as string),
        (error: pg.DatabaseError) => (error.code === "MZ006" ? ["busy"] : Promise.reject(error)),
      );
      tries++;
      return answers.includes("busy") ? await settleAll() : null;
    };
    const done = settleAll().catch((error: unknown) => (error as Error).message);
    return { done, tried: () => eventually("somebody was in the way", () => tries > 0) };
  };

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
    await assert.rejects(
      query("select settle_runs($1, $2)", [stage.db.epoch, JSON.stringify([await settlement("one", failed())])]),
      { code: "MZ006", message: /^Somebody changes task .* its epic .* is to end with this: try again\.$/ },
    );
    await person.query("update tasks set status = 'completed' where prompt = 'two'");
    assert.equal(await stage.db.status(await taskOf("one")), "running");
    assert.equal((await stage.epic(epic))["state"], "active");
    await person.query("commit");
    const again = await settle(await settlement("one", failed()));
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
      const settled = await settle(await settlement("one", outcome));
      await settled.tried();
      const stopped = await start(1, "update tasks set status = 'completed' where prompt = 'two'");
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
    const settled = await settle(finish);
    await settled.tried();
    const stopped = await start(1, "update tasks set status = 'completed' where prompt = 'two'");
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
    const settled = await settle(await settlement("two", {}));
    await settled.tried();
    const cancelled = await start(1, "update tasks set status = 'completed' where id = $1", [wakeUp?.["id"]]);
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
    const settled = await settle(await settlement("of the later", {}), await settlement("of the earlier", {}));
    await settled.tried();
    await held.commit();
    assert.deepEqual(await Promise.all([looked.done, settled.done]), [null, null]);
  });

  it("who keeps a task or an epic in an open transaction holds up the runs of these, and no other", async () => {
    const epic = await stage.file();
    await stage.plan([{ prompt: "of the epic" }]);
    for (const prompt of ["edited", "free"]) await stage.db.insert({ prompt, addressee: prompt });
    await stage.db.claimAll();
    const person = await editing("edited");
    await person.query("update epics set max_tokens = 1000000 where id = $1", [epic]);
    const prompts = ["of the epic", "edited", "free"];
    const settlements = await Promise.all(prompts.map((prompt) => settlement(prompt, {})));
    const answers = async () => {
      const values = [stage.db.epoch, JSON.stringify(settlements)];
      const rows = await query("select run_id, answer from settle_runs($1, $2)", values);
      return settlements.map(({ run_id }) => rows.find((row) => row.run_id === run_id)?.answer);
    };
    assert.deepEqual(await answers(), ["busy", "busy", "settled"]);
    assert.equal(await stage.db.status(await taskOf("of the epic")), "running");
    await person.query("commit");
    assert.deepEqual(await answers(), ["settled", "settled", "already"]);
  });

  it("who runs the tasks of several epics again takes these in the order in which everybody does", async () => {
    const epics = [];
    for (let n = 0; n < 6; n++) epics.push(await stage.file());
    // last first, so that their tasks lie in that order
    for (const epic of epics.toReversed()) await query("select stop_epic($1)", [epic]);
    const [first, ...others] = epics.toSorted();
    const held = await holding(first ?? "");
    const rerun = await start(1, "update tasks set status = 'pending' where id = any ($1)", [epics]);
    assert.equal((await query("select from epics where id = any ($1) for update nowait", [others])).length, 5);
    await held.commit();
    assert.equal(await rerun.done, null);
    for (const epic of epics) assert.equal((await stage.epic(epic))["state"], "active");
  });

  it("an epic that is overdue while somebody edits a task of it is ended later, the others at once", async () => {
    const edited = await stage.file({ max_wall_time: "1 hour" });
    const free = await stage.file({ max_wall_time: "1 hour" });
    await query("update epics set started_at = now() - interval '2 hours'");
    const person = await stage.db.pool.connect();
    open.push(person);
    await person.query("begin");
    await person.query("select from tasks where id = $1 for update", [edited]);
    const endOverdue = async () => (await query("select end_overdue_epics($1) as ended", [stage.db.epoch]))[0].ended;
    const states = async () => [(await stage.epic(edited))["state"], (await stage.epic(free))["state"]];
    assert.equal(await endOverdue(), 1);
    assert.deepEqual(await states(), ["active", "failed"]);
    await person.query("commit");
    assert.equal(await endOverdue(), 1);
    assert.deepEqual(await states(), ["failed", "failed"]);
  });
});
