/** What still runs of an epic that has ended: it ends, and is not begun again. */
import assert from "node:assert/strict";
import { after, it } from "node:test";
import { epicStage, failed } from "./epic-stage.ts";

it("a task that a finish let run on is not repeated when its pod is lost, unless somebody has run it again", async () => {
  const stage = await epicStage();
  after(() => stage.db.close());
  const lost = { action: "requeue", ...failed("job_lost", "Its host died."), retry_after_seconds: 0 };
  const epic = await stage.file();
  await stage.plan([{ prompt: "one" }, { prompt: "two" }]);
  await stage.work("one");
  await stage.plan([], { finish_epic: { success: true, summary: "Done." } });
  const two = (await stage.tasks(epic)).find(({ prompt }) => prompt === "two")?.["id"];
  assert.equal(await stage.db.status(two), "running");

  await stage.db.settle(two, lost);
  const [task] = (await stage.db.pool.query("select status, result from tasks where id = $1", [two])).rows;
  assert.equal(task.status, "completed");
  assert.deepEqual(task.result, {
    success: false,
    code: "stopped",
    error: "Its epic has ended (finished): it is not repeated after job_lost.",
  });
  assert.deepEqual(await stage.wakeUps(epic), []);

  await stage.db.pool.query("select reschedule($1)", [two]);
  await stage.db.claimAll();
  await stage.db.settle(two, lost);
  assert.equal(await stage.db.status(two), "pending");
});
