/** The ids of tasks that the database makes by itself: children, approvals, merges, wake-ups. */
import assert from "node:assert/strict";
import type { Model, ModelTask } from "./model.ts";
import type { RealQueue } from "./real-queue.ts";

interface Row {
  id: string;
  addressee: string;
  prompt: string;
  kind: string | null;
  epic: string | null;
}

/** Finds each task that the model expects among those that it does not know. @throws AssertionError */
export async function learnNewTasks(model: Model, real: RealQueue): Promise<void> {
  if (model.born.length === 0) return;
  const { rows } = await real.operator.query<Row>(
    `select t.id, t.addressee, t.prompt, o.kind, o.epic from tasks t left join task_options o on o.task_id = t.id
     where not t.id = any ($1::uuid[])`,
    [[...model.tasks.keys()]],
  );
  for (const task of model.born) {
    const found = rows.findIndex((row) => isIt(row, task));
    const seen = rows.map((row) => `${row.kind ?? "task"} for ${row.addressee}`).join(", ");
    assert.ok(found !== -1, `there is no new ${task.kind ?? "task"} for ${task.addressee}, only: ${seen || "nothing"}`);
    task.id = rows.splice(found, 1)[0]?.id ?? "";
    model.tasks.set(task.id, task);
  }
  model.born = [];
}

/** An approval quotes what it is for. */
function isIt(row: Row, task: ModelTask): boolean {
  if (row.kind !== task.kind || row.epic !== task.epic || row.addressee !== task.addressee) return false;
  return task.kind === "wake_up" || row.prompt.endsWith(task.prompt);
}
