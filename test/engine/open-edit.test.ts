/** A person leaves a transaction open that changes a running task, and settings: nobody waits for it but that task. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { instantLauncher } from "../support/instant-launcher.ts";
import { testDatabase } from "../support/postgres.ts";
import { keptWarnings, startTestEngine } from "../support/test-engine.ts";
import { eventually } from "../support/waiting.ts";

it("an edit whose transaction stays open holds up its own task, and no launch or settle of another", async () => {
  const test = await testDatabase();
  const person = await test.pool.connect();
  const launcher = instantLauncher();
  const warnings = keptWarnings();
  const engine = startTestEngine(test, launcher, { log: warnings.log });
  const file = (...addressees: string[]) =>
    test.pool.query("insert into tasks (addressee, prompt) select unnest($1::text[]), 'p'", [addressees]);
  const taskOf = async (addressee: string) =>
    (
      await test.pool.query(
        `select t.status, t.result ->> 'summary' as summary, r.launched_at is not null as launched, r.finished_at is not null as finished
         from tasks t left join runs r on r.task_id = t.id where t.addressee = $1`,
        [addressee],
      )
    ).rows[0];
  try {
    await file("edited", "looked-at", "other");
    await eventually("they run", () => ["edited", "looked-at", "other"].every((name) => launcher.jobOf(name) !== ""));
    await person.query(`begin;
      update tasks set status = 'completed', result = '{"success": true, "summary": "by hand"}' where addressee = 'edited';
      select from tasks where addressee = 'looked-at' for update;
      update engine_state set paused = true`);

    const begin = performance.now();
    const { rows } = await test.pool.query("select clock_timestamp() as at");
    const beats = "select from engine_beat where beat_at > $1";
    for (const name of ["edited", "looked-at", "other"]) launcher.finish(launcher.jobOf(name));
    await file("later");
    await eventually("the other one is settled", async () => (await taskOf("other")).finished);
    await eventually("a later one is launched, and that is noted", async () => (await taskOf("later")).launched);
    launcher.finish(launcher.jobOf("later"));
    await eventually("and settled", async () => (await taskOf("later")).finished);
    await eventually("the engine beats", async () => (await test.pool.query(beats, [rows[0].at])).rowCount === 1);
    assert.ok(performance.now() - begin < 15_000, "no statement of the engine waited until its time was over");
    assert.deepEqual([(await taskOf("edited")).status, (await taskOf("looked-at")).status], ["running", "running"]);

    await person.query("commit");
    for (const name of ["edited", "looked-at"]) {
      await eventually(`${name} is settled`, async () => (await taskOf(name)).finished);
    }
    assert.equal((await taskOf("edited")).summary, "by hand");
    assert.equal((await taskOf("looked-at")).status, "completed");
    assert.deepEqual(warnings.errors(), []);
    assert.equal(warnings.said("settle waits for somebody"), 2, "once for each");
  } finally {
    person.release(true);
    await engine.stop();
    await test.close();
  }
});
