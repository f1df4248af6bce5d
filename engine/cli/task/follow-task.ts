/**
 * Follows a task to its end for a person who waits. Looks, never steers: Ctrl-C ends the waiting and leaves the task
 * going.
 */
import type { Database } from "../../store/connection.ts";
import { showTask, taskProgress } from "../../store/show.ts";
import type { Progress, ShownTask } from "../../store/show.ts";
import { EXIT, FailedError } from "../failure.ts";
import { note, say, sayJson } from "../terminal/output.ts";
import { waitForEnd } from "../terminal/progress-display.ts";
import type { ShownProgress } from "../terminal/progress-display.ts";
import { shortId } from "../terminal/terminal-text.ts";
import { resultLines, succeeded } from "./task-text.ts";

/**
 * Waits until the task is completed and prints how it ended. Returns the exit code: 1 where it did not
 * succeed, 130 after Ctrl-C.
 * @throws FailedError where the task is deleted meanwhile
 */
export async function followTask(database: Database, id: string, options: { json: boolean }): Promise<number> {
  if (!(await waitForEnd(() => progressOf(database, id), shown))) {
    note(
      `No longer waiting; task ${id} goes on. See it with: myzel show ${shortId(id)}. End it with: myzel stop ${shortId(id)}.`,
    );
    return EXIT.interrupted;
  }
  const task = await showTask(database, id);
  if (options.json) sayJson(task);
  else say(ending(task));
  return succeeded(task.result) ? EXIT.done : EXIT.failed;
}

async function progressOf(database: Database, id: string): Promise<Progress> {
  const progress = await taskProgress(database, id);
  if (progress === null) throw new FailedError(`Task ${id} was deleted while you waited.`);
  return progress;
}

function shown({ status, reason, explanation, attempt }: Progress): ShownProgress | null {
  if (status === "completed") return null;
  return { state: status, explanation, key: [status, reason, attempt].join(" ") };
}

function ending(task: ShownTask): string {
  const head = succeeded(task.result) ? "succeeded" : "failed";
  return `Task ${task.id} ${head}.\n${resultLines(task.result)}`;
}
