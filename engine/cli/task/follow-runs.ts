/**
 * Follows a task's runs until the task has ended: each run's log while it lives, where it can be read
 * here; else its transcript, as soon as that is stored.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Config } from "../../config.ts";
import type { Database } from "../../store/connection.ts";
import { runsOf, taskProgress } from "../../store/show.ts";
import type { RunRow } from "../../store/show.ts";
import { transcriptLines } from "../../store/transcripts.ts";
import { note } from "../terminal/output.ts";
import { oneLine } from "../terminal/terminal-text.ts";
import { readLiveLog } from "./live-log.ts";
import { succeeded } from "./task-text.ts";

const LOOK_MS = 500;

export interface Following {
  database: Database;
  config: Config;
  id: string;
  show: (line: string) => void;
  signal: AbortSignal;
}

/** Begins with the newest run there is. Returns whether the task succeeded: false where it is gone, too, or on the signal. */
export async function followRuns(following: Following): Promise<boolean> {
  const { database, id, signal } = following;
  let shownAttempt = 0;
  let lastReason = "";
  while (!signal.aborted) {
    // The task first: where it has ended, the runs that are read after it are all there are.
    const progress = await taskProgress(database, id);
    const runs = await runsOf(database, id);
    for (const run of runs.filter((one) => one.attempt > shownAttempt).slice(shownAttempt === 0 ? -1 : 0)) {
      if (run.attempt > 1) note(`Attempt ${run.attempt}:`);
      await followRun(following, run);
      shownAttempt = run.attempt;
    }
    const newest = runs.at(-1);
    if (progress === null) {
      note("The task is gone.");
      return false;
    }
    if (progress.status === "completed" && newest?.finished_at !== null) {
      note(ending(progress.result));
      return succeeded(progress.result);
    }
    if (progress.status === "pending" && progress.reason !== lastReason)
      note(`Waiting: ${oneLine(progress.explanation)}`);
    lastReason = progress.reason;
    await delay(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
  return false;
}

async function followRun({ database, config, show, signal }: Following, run: RunRow): Promise<void> {
  let shown = false;
  if (run.finished_at === null) {
    for await (const line of readLiveLog(config, run, { follow: true, signal })) {
      show(line);
      shown = true;
    }
  }
  if (shown) return;
  if (run.finished_at === null)
    note("Its log cannot be read from here; the transcript follows when the run has ended.");
  const lines = await storedTranscript(database, run, signal);
  lines?.forEach(show);
}

/** Waits for the run's end; null where nothing is stored by then. */
async function storedTranscript(database: Database, run: RunRow, signal: AbortSignal): Promise<string[] | null> {
  while (!signal.aborted) {
    const now = (await runsOf(database, run.task_id)).find((one) => one.id === run.id);
    // Of a live run what is stored may be the beginning of its log.
    const lines = await transcriptLines(database, run.id, { ofPublish: now?.finished_at === null });
    if (lines !== null || now === undefined || now.finished_at !== null) return lines;
    await delay(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
  return null;
}

function ending(result: Record<string, unknown> | null): string {
  if (succeeded(result)) return "The task succeeded.";
  return `The task failed${typeof result?.["code"] === "string" ? ` (${result["code"]})` : ""}${typeof result?.["error"] === "string" ? `: ${oneLine(result["error"])}` : "."}`;
}
