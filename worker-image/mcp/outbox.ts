/**
 * The outbox: what the agent wants of the engine, for `publish` to hand in. A numbered JSON file for each task to
 * create, and one for the word that the epic is over.
 *
 * A file appears whole or not at all, and a task is never overwritten. Bounded, so that an agent in a loop
 * fills neither the disk nor the queue.
 */
import { linkSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FinishEpic, OutboxTask } from "../contract.ts";
import { finishProblem, MAX_TASKS, MAX_TOTAL_BYTES, OUTBOX_FILES, taskProblem } from "./outbox-rules.ts";

/** The wish cannot be accepted; the message says why, to the model. */
export class OutboxError extends Error {}

/**
 * Writes a task and returns its number.
 * @throws OutboxError with a sentence for the model
 */
export function addToOutbox(directory: string, task: OutboxTask): number {
  const problem = taskProblem(task);
  if (problem !== null) throw new OutboxError(problem);
  mkdirSync(directory, { recursive: true });
  const entries = readdirSync(directory);
  if (entries.includes(OUTBOX_FILES.finishEpic)) {
    throw new OutboxError("You have finished the epic in this run already, so no task of it is started any more.");
  }
  const files = entries.filter((name) => OUTBOX_FILES.task.test(name));
  const next = Math.max(0, ...files.map((name) => Number(name.slice(0, 4)))) + 1;
  if (files.length >= MAX_TASKS || next > 9999) {
    throw new OutboxError(`One run may create ${MAX_TASKS} tasks, and this one has.`);
  }
  const content = JSON.stringify(task);
  const bytes = files.reduce((sum, name) => sum + statSync(join(directory, name)).size, Buffer.byteLength(content));
  if (bytes > MAX_TOTAL_BYTES) {
    throw new OutboxError(
      "The tasks of one run may weigh 4 MiB together; put the details into files of the repository.",
    );
  }
  const path = join(directory, `${String(next).padStart(4, "0")}.json`);
  const draft = writeDraft(directory, content);
  try {
    linkSync(draft, path);
  } finally {
    rmSync(draft, { force: true });
  }
  return next;
}

/**
 * Notes that the epic is over, in place of what was noted before.
 * @returns how many tasks this run has created, for they will not be started
 * @throws OutboxError with a sentence for the model
 */
export function finishInOutbox(directory: string, finish: FinishEpic): number {
  const problem = finishProblem(finish);
  if (problem !== null) throw new OutboxError(problem);
  mkdirSync(directory, { recursive: true });
  renameSync(writeDraft(directory, JSON.stringify(finish)), join(directory, OUTBOX_FILES.finishEpic));
  return readdirSync(directory).filter((name) => OUTBOX_FILES.task.test(name)).length;
}

function writeDraft(directory: string, content: string): string {
  const draft = join(directory, `.draft-${process.pid}`);
  writeFileSync(draft, content);
  return draft;
}
