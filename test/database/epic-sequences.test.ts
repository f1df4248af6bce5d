/** Sequences that the model of the queue (test/model) has found, of epics: each the shortest that shows its point. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { GREEN, REPO, epicStage, failed } from "./epic-stage.ts";
import type { EpicStage } from "./epic-stage.ts";

describe("sequences of epics kept", () => {
  let stage: EpicStage;
  beforeEach(async () => {
    stage = await epicStage();
  });
  afterEach(() => stage.db.close());
  const query = async (text: string, values: unknown[] = []) => (await stage.db.pool.query(text, values)).rows;
  const addLead = () =>
    query(
      "insert into profiles (name, role, addressee_pattern, may_create_tasks) values ('lead', 'red', 'lead-%', true)",
    );
  const toldTasks = async () =>
    (
      await query("select t.prompt from wake_up_results w join tasks t on t.id = w.task_id order by w.at, t.prompt")
    ).map(({ prompt }) => prompt);

  it("an agent that may create no tasks begins no epic by asking for some; that it asked is recorded", async () => {
    const id = await stage.db.insert({ addressee: "worker-1" });
    await stage.run("worker-1", { tasks: [{ prompt: "child" }] });
    assert.deepEqual(await query("select id from epics"), []);
    assert.deepEqual(
      await query("select task_id, detail ->> 'problem' as problem from task_events where event = 'child_refused'"),
      [{ task_id: id, problem: "The profile of this task may not create tasks." }],
    );
  });

  it("an epic whose time was over and that is run again is not ended by a run of before that ends now", async () => {
    const id = await stage.file({ max_wall_time: "1 minute" });
    await stage.plan([{ prompt: "slow" }]);
    await stage.db.claimAll();
    await query("update epics set started_at = started_at - interval '2 minutes'");
    await query("update runs set started_at = started_at - interval '2 minutes'");
    await query("select end_overdue_epics($1)", [stage.db.epoch]);
    assert.equal((await stage.epic(id))["end_code"], "max_wall_time");
    await query("update tasks set status = 'pending' where id = $1", [id]);
    const [slow] = await query("select id from tasks where prompt = 'slow'");
    assert.equal(await stage.db.settle(slow?.["id"], { action: "complete", ...failed("stopped") }), "settled");
    assert.deepEqual([(await stage.epic(id))["state"], (await stage.epic(id))["runs"]], ["active", 2]);
  });

  it("of tasks that wake together, one that is deleted keeps back the results of the others no longer", async () => {
    await stage.file();
    await stage.plan([
      { prompt: "a", wake: "last" },
      { prompt: "b", wake: "last" },
    ]);
    await stage.work("a");
    assert.deepEqual(await toldTasks(), []);
    await query("delete from tasks where prompt = 'b'");
    assert.deepEqual(await toldTasks(), ["a"]);
  });

  it("the deletion of its task wakes a Green that is one by its addressee's own profile", async () => {
    await query("insert into addressees (addressee, profile) values ('planner', 'green')");
    const id = await stage.db.insert({ addressee: "planner", repo_url: REPO });
    await stage.run("planner", { tasks: [{ prompt: "a" }] });
    await query("delete from tasks where prompt = 'a'");
    assert.match((await stage.wakeUps(id))[0]?.["prompt"], /A task that you created was deleted by hand/);
  });

  it("the deletion of a task that has run wakes its Green also where the task that created it is deleted", async () => {
    const id = await stage.file();
    await stage.plan([{ prompt: "a" }]);
    await stage.db.claimAll();
    await query("delete from tasks where id = $1", [id]);
    await query("delete from tasks where prompt = 'a'");
    assert.match((await stage.wakeUps(id))[0]?.["prompt"], /A task that you created was deleted by hand/);
  });

  it("the deletion of the last open task of an epic is followed by what follows its end, whoever created it", async () => {
    await addLead();
    const ofRed = await stage.db.insert({ addressee: "lead-1" });
    await stage.run("lead-1", { tasks: [{ prompt: "a" }] });
    await query("delete from tasks where prompt = 'a'");
    assert.equal((await stage.epic(ofRed))["end_code"], "finished");
    const ofGreen = await stage.file();
    const joined = await stage.db.insert({ addressee: "b" });
    await query("insert into task_options (task_id, epic) values ($1, $2)", [joined, ofGreen]);
    await stage.run(GREEN, {});
    assert.equal((await stage.wakeUps(ofGreen)).length, 0);
    await query("delete from tasks where id = $1", [joined]);
    assert.equal((await stage.wakeUps(ofGreen)).length, 1);
  });

  it("failures in a row end an epic also where a Red created the tasks", async () => {
    await addLead();
    const id = await stage.db.insert({ addressee: "lead-1" });
    await stage.run("lead-1", { tasks: ["a", "b", "c", "d"].map((prompt) => ({ prompt })) });
    for (const prompt of ["a", "b", "c"]) await stage.work(prompt, failed());
    assert.equal((await stage.epic(id))["end_code"], "max_failures_in_a_row");
  });

  it("what a person stopped is no failure of its step", async () => {
    const epic = await stage.file({ max_failures_in_a_row: 2 });
    await stage.plan([
      { prompt: "a", step: "1" },
      { prompt: "b", step: "1" },
    ]);
    await query("select stop(id) from tasks where prompt = 'a'");
    await stage.work("b", failed());
    assert.equal((await stage.epic(epic))["state"], "active");
  });

  it("an epic that is run again has not stalled yet", async () => {
    const epic = await stage.file();
    await query("update epics set stalls = 2");
    await query("select stop_epic($1)", [epic]);
    await query("update tasks set status = 'pending' where id = $1", [epic]);
    assert.deepEqual(await query("select state, stalls from epics"), [{ state: "active", stalls: 0 }]);
  });
});
