/** A settle that would end an epic while a person edits a task of it: the engine tries again, and nothing is lost. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { instantLauncher } from "../support/instant-launcher.ts";
import { testDatabase } from "../support/postgres.ts";
import { keptWarnings, startTestEngine } from "../support/test-engine.ts";
import { eventually } from "../support/waiting.ts";
import type { OutboxTask } from "../../worker-image/contract.ts";

function task(addressee: string): OutboxTask {
  const rest = { repo_url: null, branch: null, base_branch: null, kind: null, step: null, paths: null };
  return { prompt: `for ${addressee}`, addressee, wake: "each", pull_request: false, ...rest };
}

it("the settle that ends an epic comes again while somebody's open transaction holds one of its tasks", async () => {
  const test = await testDatabase();
  const person = await test.pool.connect();
  const launcher = instantLauncher();
  const warnings = keptWarnings();
  const engine = startTestEngine(test, launcher, { log: warnings.log });
  const taskFor = async (addressee: string) =>
    (await test.pool.query("select status, result from tasks where addressee = $1", [addressee])).rows[0];
  try {
    await test.pool.query(`select file_epic('project-mgr-web', 'build', limits => '{"max_runs": 2}')`);
    await eventually("Green runs", () => launcher.jobOf("project-mgr-web") !== "");
    launcher.finish(launcher.jobOf("project-mgr-web"), { tasks: [task("one"), task("two")] });
    // noting them locks their tasks
    await eventually("both launches are noted", async () => {
      const noted = "select from runs where launched_at is not null and addressee in ('one', 'two')";
      return (await test.pool.query(noted)).rowCount === 2;
    });
    await person.query("begin; select from tasks where addressee = 'two' for update");
    launcher.finish(launcher.jobOf("one"));
    await eventually("the settle gave way", () => warnings.said("settle waits for somebody") > 0);
    assert.equal((await taskFor("one")).status, "running");
    await person.query(`update tasks set status = 'completed', result = '{"success": true}' where addressee = 'two'`);
    await person.query("commit");
    await eventually("it came again", async () => (await taskFor("one")).status === "completed");
    assert.equal((await taskFor("one")).result.success, true);
    assert.equal((await test.pool.query("select end_code from epics")).rows[0].end_code, "max_runs");
    assert.deepEqual(warnings.errors(), []);
  } finally {
    person.release(true);
    await engine.stop();
    await test.close();
  }
});
