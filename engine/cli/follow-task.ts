/**
 * Follows a task to its end for a person who waits. Looks, never steers: Ctrl-C ends the waiting and leaves the task
 * going.
 */
import type { Database } from "../store/connection.ts";
import { showTask, taskProgress } from "../store/show.ts";
import type { Progress, ShownTask } from "../store/show.ts";
import { EXIT, FailedError } from "./failure.ts";
import { lookUntil } from "./look-until.ts";
import { note, say, sayJson } from "./output.ts";
import { createProgressDisplay } from "./progress-display.ts";
import { shortId } from "./terminal-text.ts";
import { resultLines, succeeded } from "./task-text.ts";

const LOOK_MS = 500;

/**
 * Waits until the task is completed and prints how it ended. Returns the exit code: 1 where it did not
 * succeed, 130 after Ctrl-C.
 * @throws FailedError where the task is deleted meanwhile
 */
export async function followTask(database: Database, id: string, options: { json: boolean }): Promise<number> {
  if ((await waitForEnd(database, id)) === null) {
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

/** Null where it was interrupted. */
async function waitForEnd(database: Database, id: string): Promise<Progress | null> {
  const display = createProgressDisplay();
  try {
    return await lookUntil({
      everyMs: LOOK_MS,
      unreachable: display.remark,
      look: async () => {
        const progress = await taskProgress(database, id);
        if (progress === null) throw new FailedError(`Task ${id} was deleted while you waited.`);
        return progress;
      },
      see: ({ status, reason, explanation, attempt }) => {
        if (status === "completed") return true;
        display.show({ state: status, explanation, key: [status, reason, attempt].join(" ") });
        return false;
      },
    });
  } finally {
    display.end();
  }
}

function ending(task: ShownTask): string {
  const head = succeeded(task.result) ? "succeeded" : "failed";
  return `Task ${task.id} ${head}.\n${resultLines(task.result)}`;
}
