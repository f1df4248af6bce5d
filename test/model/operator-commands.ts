/** What an operator does, by plain SQL and by function: edits of tasks, and of their addressees. */
import assert from "node:assert/strict";
import { REFUSALS, TASK_TRANSITIONS } from "../../engine/domain/task-states.ts";
import { command, pick } from "./command.ts";
import type { QueueCommand } from "./command.ts";
import { reopenEpic, stopTask } from "./epic-ends.ts";
import { followDeleted, followEnded, followIdle } from "./epic-rules.ts";
import { addresseeOf, headOf, newestRun, taskState } from "./model.ts";
import type { Model, ModelTask } from "./model.ts";

/** Edits of one task, by the table of states: what it refuses is refused, what it changes is changed. */
export const EDITS = {
  set_pending: "update tasks set status = 'pending' where id = $1",
  set_running: "update tasks set status = 'running' where id = $1",
  set_completed: "update tasks set status = 'completed' where id = $1",
  delete: "delete from tasks where id = $1",
  edit_content: "update tasks set addressee = $2, repo_url = $3 where id = $1",
  move_ahead: "update tasks set created_at = $2 where id = $1",
  reschedule: "select reschedule($1)",
  reschedule_with_note: "select reschedule($1, 'be quick')",
  stop: "select stop($1)",
} as const;
export type Edit = keyof typeof EDITS;

interface EditArguments {
  edit: Edit;
  /** Which tasks to choose from; any: deleted ones too; last: the only open one of an epic. */
  among: "heads" | "running" | "any" | "last";
  task: number;
  addressee: string;
  repoUrl: string | null;
  ageMs: number;
}

export const editTask = (args: EditArguments): QueueCommand =>
  command("editTask", args, async (model, real, { edit, among, task: index, addressee, repoUrl, ageMs }) => {
    const id = pick(choices(model, among), index);
    if (id === undefined) return;
    const createdAt = model.now - ageMs;
    const values: Partial<Record<Edit, unknown[]>> = {
      edit_content: [addressee, repoUrl],
      move_ahead: [new Date(createdAt).toISOString()],
    };
    const task = model.tasks.get(id);
    // An edit that gives what is there already is none, and so never refused.
    if (edit === "edit_content" && task?.addressee === addressee && task.repoUrl === repoUrl) return;
    if (edit === "move_ahead" && task?.createdAt === createdAt) return;
    const cell = TASK_TRANSITIONS[taskState(model, id)][edit];
    const done = real.operator.query(EDITS[edit], [id, ...(values[edit] ?? [])]);
    if (cell.startsWith("refuse ")) {
      const { code, sentence } = REFUSALS[cell.slice("refuse ".length) as keyof typeof REFUSALS];
      await assert.rejects(done, { code, message: sentence });
      return;
    }
    await done;
    if (edit === "reschedule" && task !== undefined) task.continues = null;
    if (cell === "unchanged" || task === undefined) return;
    if (edit === "edit_content") Object.assign(task, { addressee, repoUrl });
    else if (edit === "move_ahead") task.createdAt = createdAt;
    else applyStatusEdit(model, task, edit);
    assert.equal(taskState(model, id), cell);
  });

function choices(model: Model, among: EditArguments["among"]): string[] {
  const tasks = [...model.tasks.values()];
  if (among === "any") return [...tasks.map((task) => task.id), ...model.deleted].toSorted();
  const isOpen = (task: ModelTask) => task.status !== "completed";
  const chosen = tasks.filter((task) => {
    if (among === "running") return task.status === "running";
    if (among === "heads") return headOf(model, task.addressee) === task;
    return (
      task.epic !== null && isOpen(task) && tasks.filter((one) => one.epic === task.epic && isOpen(one)).length === 1
    );
  });
  return chosen.map((task) => task.id).toSorted();
}

export function applyStatusEdit(model: Model, task: ModelTask, edit: Edit): void {
  const ofTask = model.runs.filter((run) => run.taskId === task.id);
  const rescheduled = edit === "reschedule" || edit === "reschedule_with_note";
  if (rescheduled || edit === "set_pending") {
    for (const run of ofTask) run.retryAt = null;
    task.continues = null;
  }
  const live = newestRun(model, task.id);
  if (live?.live) live.stopping = true;
  if (edit === "delete") {
    model.tasks.delete(task.id);
    model.deleted.push(task.id);
    if (task.status !== "completed") followDeleted(model, task);
    else if (task.kind !== "wake_up") followIdle(model, task.epic); // its wake-up may have been deleted before
  } else if (rescheduled || edit === "set_pending") {
    if (task.status === "completed") reopenEpic(model, task.id);
    Object.assign(task, { status: "pending", result: null, completedAt: null });
  } else {
    stopTask(model, task);
    followEnded(model, [task]);
  }
}

/** Null: back to the default, by deleting the row. */
export const setAddressee = (args: {
  addressee: string;
  set: { capacity: number; profile: string | null; paused: boolean } | null;
}): QueueCommand =>
  command("setAddressee", args, async (model, real, { addressee, set }) => {
    if (set === null) {
      await real.operator.query("delete from addressees where addressee = $1", [addressee]);
      model.addressees.delete(addressee);
      return;
    }
    await real.operator.query(
      `insert into addressees (addressee, capacity, profile, paused) values ($1, $2, $3, $4)
       on conflict (addressee) do update set capacity = $2, profile = $3, paused = $4`,
      [addressee, set.capacity, set.profile, set.paused],
    );
    model.addressees.set(addressee, set);
  });

export const pauseOrResume = (args: { addressee: string | null; paused: boolean }): QueueCommand =>
  command("pauseOrResume", args, async (model, real, { addressee, paused }) => {
    await real.operator.query(`select ${paused ? "pause" : "resume"}($1)`, [addressee]);
    if (addressee === null) model.paused = paused;
    else if (paused || model.addressees.has(addressee)) {
      model.addressees.set(addressee, { ...addresseeOf(model, addressee), paused });
    }
  });
