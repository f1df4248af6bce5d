/** How an epic ends and begins again. Pure. */
import { everyTask, newestRun } from "./model.ts";
import type { Model, ModelEpic, ModelTask, Result } from "./model.ts";

/** Ends an active epic. What is pending is cancelled; what runs is told to stop, or ends by itself. Wakes nobody. */
export function endEpic(
  model: Model,
  epic: ModelEpic,
  end: { state: "finished" | "failed" | "stopped"; code: string; stopRunning: boolean },
): void {
  if (epic.state !== "active") return;
  epic.state = end.state;
  epic.endCode = end.code;
  for (const task of everyTask(model).filter((one) => one.epic === epic.id)) {
    if (task.status === "pending" || (end.stopRunning && task.status === "running")) stopTask(model, task);
  }
}

/** A task that nobody's run completes. */
export function stopTask(model: Model, task: ModelTask): void {
  complete(model, task, { success: false, code: "stopped", attempt: null });
}

/** The task is completed so; a run that was still working on it is told to stop. */
export function complete(model: Model, task: ModelTask, result: Result): void {
  Object.assign(task, { status: "completed", completedAt: model.now, result });
  const newest = newestRun(model, task.id);
  if (newest?.live) newest.stopping = true;
}

/** A person runs the first task of an epic again: an ended one goes on, its wall time begins anew, what it spent stays. */
export function reopenEpic(model: Model, id: string): void {
  const epic = model.epics.get(id);
  if (epic === undefined || epic.state === "active") return;
  Object.assign(epic, { state: "active", endCode: null, stalls: 0, startedAt: model.now });
}
