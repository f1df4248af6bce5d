/** The shop of played-epic.ts, with the engine killed by SIGKILL at each step: nothing is lost, and nothing done twice. */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { it } from "node:test";
import { bareRemote } from "../support/git-remotes.ts";
import { startSpine } from "../support/spine.ts";
import { eventually } from "../support/waiting.ts";
import { playShop } from "./played-epic.ts";

const UNTIL_DONE_MS = 480_000;

it("an epic whose engine is killed whenever a task has begun or ended is built all the same, each step once", async () => {
  const remote = bareRemote();
  const spine = await startSpine(playShop);
  try {
    const setUp = "insert into projects (name, repo_url, merge_policy) values ('shop', $1, 'auto')";
    await spine.pool.query(setUp, [remote.url]);
    const { rows } = await spine.pool.query("select id from file_epic('project-mgr-shop', 'Build the shop.', $1)", [
      remote.url,
    ]);
    const id: string = rows[0].id;
    let engine: ChildProcess = spine.spawnEngine();
    let kills = 0;
    let seen = "";
    const epic = await eventually(
      "the epic ends",
      async () => {
        const state = await spine.pool.query(
          "select string_agg(status, ' ' order by created_at, id) as now from epic_tasks where epic = $1",
          [id],
        );
        if (seen !== "" && state.rows[0].now !== seen) {
          engine.kill("SIGKILL");
          engine = spine.spawnEngine();
          kills++;
        }
        seen = state.rows[0].now;
        return (await spine.pool.query("select * from epics where id = $1 and state <> 'active'", [id])).rows[0];
      },
      UNTIL_DONE_MS,
    ).catch(async (error: Error) => {
      const { rows: left } = await spine.pool.query(
        "select e.kind, e.status, e.started_at, r.* from epic_tasks e left join runs r on r.task_id = e.id where epic = $1",
        [id],
      );
      throw new Error(`${error.message} (killed ${kills} times)\n${JSON.stringify(left, null, 1)}`, { cause: error });
    });
    assert.deepEqual([epic.state, epic.summary], ["finished", "The shop stands."]);
    assert.ok(kills >= 12, `the engine was killed ${kills} times`);
    assert.equal(remote.file("main", "till.txt"), "one\ntwo\n");
    assert.equal(remote.file("main", "roof.txt"), "tiles\n");
    const tasks = (await spine.pool.query("select * from epic_tasks where epic = $1", [id])).rows;
    assert.equal(tasks.length, 1 + 6 + 4); // its own, those that Green created, the wake-ups
    assert.equal(epic.tasks, 6);
    const told = await spine.pool.query("select task_id from wake_up_results");
    assert.equal(new Set(told.rows.map((row) => row.task_id)).size, 6);
    assert.equal(told.rows.length, 6);
  } finally {
    await spine.close();
    remote.remove();
  }
});
