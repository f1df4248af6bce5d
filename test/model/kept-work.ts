/** Which attempt goes on from what an earlier one left. Pure. */
import type { Model, ModelRun } from "./model.ts";

/**
 * The run that this attempt goes on from: the newest earlier one that the engine repeated by itself and that left
 * something; else the one that a person named, or where that left nothing the newest before it. A task that a person runs
 * again begins a new chain of attempts.
 */
export function continuedRun(model: Model, run: ModelRun): ModelRun | undefined {
  const left = model.runs
    .filter(({ taskId, leftWork }) => taskId === run.taskId && leftWork)
    .toSorted((a, b) => b.attempt - a.attempt);
  const named = model.runs.find(({ id }) => id === model.tasks.get(run.taskId)?.continues);
  return (
    left.find(({ attempt, retryAt }) => attempt < run.attempt && retryAt !== null) ??
    left.find(({ attempt, live }) => named !== undefined && attempt <= named.attempt && !live)
  );
}
