/**
 * Follows a task to its end for a person who waits: one live line on a terminal, else a line for every
 * change. Looks, never steers: Ctrl-C ends the waiting and leaves the task going.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Database } from "../store/connection.ts";
import { DatabaseUnreachableError } from "../store/errors.ts";
import { showTask, taskProgress } from "../store/show.ts";
import type { Progress, ShownTask } from "../store/show.ts";
import { EXIT, FailedError } from "./failure.ts";
import { note, say, sayJson } from "./output.ts";
import { duration, oneLine, shortId } from "./terminal-text.ts";
import { resultLines, succeeded } from "./task-text.ts";

const LOOK_MS = 500;

/**
 * Waits until the task is completed and prints how it ended. Returns the exit code: 1 where it did not
 * succeed, 130 after Ctrl-C.
 * @throws FailedError where the task is deleted meanwhile
 */
export async function followTask(database: Database, id: string, options: { json: boolean }): Promise<number> {
  const interrupt = new AbortController();
  const onInterrupt = () => interrupt.abort();
  process.once("SIGINT", onInterrupt);
  process.once("SIGTERM", onInterrupt);
  try {
    const ended = await waitForEnd(database, id, interrupt.signal);
    if (!ended) {
      note(
        `No longer waiting; task ${id} goes on. See it with: myzel show ${shortId(id)}. End it with: myzel stop ${shortId(id)}.`,
      );
      return EXIT.interrupted;
    }
    const task = await showTask(database, id);
    if (options.json) sayJson(task);
    else say(ending(task));
    return succeeded(task.result) ? EXIT.done : EXIT.failed;
  } finally {
    process.off("SIGINT", onInterrupt);
    process.off("SIGTERM", onInterrupt);
  }
}

/** False where it was interrupted. */
async function waitForEnd(database: Database, id: string, signal: AbortSignal): Promise<boolean> {
  const display = process.stderr.isTTY ? createLiveLine() : createChangeLines();
  let reachable = true;
  try {
    while (!signal.aborted) {
      try {
        const progress = await taskProgress(database, id);
        if (progress === null) throw new FailedError(`Task ${id} was deleted while you waited.`);
        reachable = true;
        if (progress.status === "completed") return true;
        display.show(progress);
      } catch (error) {
        if (!(error instanceof DatabaseUnreachableError)) throw error;
        if (reachable) display.remark(`${error.message} Waiting for it.`);
        reachable = false;
      }
      await delay(LOOK_MS, undefined, { signal }).catch(() => undefined);
    }
    return false;
  } finally {
    display.end();
  }
}

interface Display {
  show(progress: Progress): void;
  remark(text: string): void;
  end(): void;
}

/** One line that is written over and over, with the time that has passed. */
function createLiveLine(): Display {
  const begun = Date.now();
  const clear = "\r\x1b[K";
  return {
    show(progress) {
      const text = `${progress.status}, ${duration(Date.now() - begun)}: ${progress.explanation}`;
      process.stderr.write(clear + oneLine(text, (process.stderr.columns || 80) - 1));
    },
    remark(text) {
      process.stderr.write(clear);
      note(text);
    },
    end: () => void process.stderr.write(clear),
  };
}

/** A line for each change of what it waits for; that time goes by is no change. */
function createChangeLines(): Display {
  let last = "";
  return {
    show(progress) {
      const state = [progress.status, progress.reason, progress.attempt].join(" ");
      if (state === last) return;
      last = state;
      note(`${progress.status}: ${oneLine(progress.explanation)}`);
    },
    remark: note,
    end: () => {},
  };
}

function ending(task: ShownTask): string {
  const head = succeeded(task.result) ? "succeeded" : "failed";
  return `Task ${task.id} ${head}.\n${resultLines(task.result)}`;
}
