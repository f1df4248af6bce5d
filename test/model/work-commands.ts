/** Work that is not pushed: publish keeps it, and a person lets the next attempt go on from it. */
import assert from "node:assert/strict";
import { command, pick } from "./command.ts";
import type { QueueCommand } from "./command.ts";
import { compareText, liveRuns } from "./model.ts";
import { applyStatusEdit } from "./operator-commands.ts";

/** As publish does at the end of a run. */
export const keepWork = (index: number): QueueCommand =>
  command("keepWork", index, async (model, real) => {
    const run = pick(liveRuns(model), index);
    if (run === undefined) return;
    await real.admin.query(
      "insert into run_work (run_id, session_id, session) values ($1, $1, 'x') on conflict (run_id) do nothing",
      [run.id],
    );
    run.leftWork = true;
  });

/** A person lets a task go on from what its newest attempt left; what a live one leaves is known when it has ended. */
export const rescheduleToContinue = (index: number): QueueCommand =>
  command("rescheduleToContinue", index, async (model, real) => {
    const left = model.runs.filter((run) => run.leftWork || run.live).map((run) => run.taskId);
    const tasks = [...model.tasks.values()].toSorted((a, b) => compareText(a.id, b.id));
    const withWork = tasks.filter((task) => left.includes(task.id));
    const task = pick(withWork.length > 0 ? withWork : tasks, index);
    if (task === undefined) return;
    const from = model.runs
      .filter((run) => run.taskId === task.id && (run.leftWork || run.live))
      .toSorted((a, b) => b.attempt - a.attempt)[0];
    const done = real.operator.query("select reschedule($1, continue => true)", [task.id]);
    if (from === undefined) {
      await assert.rejects(done, { code: "MZ002", message: /^No attempt of this task has left any work/ });
      return;
    }
    await done;
    applyStatusEdit(model, task, "reschedule");
    task.continues = from.id;
  });
