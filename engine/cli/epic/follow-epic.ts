/** Follows an epic to its end for a person who waits; Ctrl-C ends the waiting and leaves the epic going. */
import type { Database } from "../../store/connection.ts";
import { epicProgress, showEpic } from "../../store/epics.ts";
import type { EpicOverview } from "../../store/epics.ts";
import { EXIT, FailedError } from "../failure.ts";
import { note, say, sayJson } from "../terminal/output.ts";
import { waitForEnd } from "../terminal/progress-display.ts";
import type { ShownProgress } from "../terminal/progress-display.ts";
import { shortId } from "../terminal/terminal-text.ts";
import { epicEnding, tasksDone } from "./epic-text.ts";

/**
 * Waits until the epic has ended and prints how. Returns the exit code: 1 where it is not finished, 130 after Ctrl-C.
 * @throws FailedError where the epic is deleted meanwhile
 */
export async function followEpic(database: Database, id: string, options: { json: boolean }): Promise<number> {
  if (!(await waitForEnd(() => progressOf(database, id), shown))) {
    note(
      `No longer waiting; epic ${id} goes on. See it with: myzel epic show ${shortId(id)}. End it with: myzel epic stop ${shortId(id)}.`,
    );
    return EXIT.interrupted;
  }
  const epic = await showEpic(database, id);
  if (options.json) sayJson(epic);
  else say(epicEnding(epic));
  return epic.state === "finished" ? EXIT.done : EXIT.failed;
}

async function progressOf(database: Database, id: string): Promise<EpicOverview> {
  const progress = await epicProgress(database, id);
  if (progress === null) throw new FailedError(`Epic ${id} was deleted while you waited.`);
  return progress;
}

function shown(epic: EpicOverview): ShownProgress | null {
  if (epic.state !== "active") return null;
  const { state, pending, running, completed, failed } = epic;
  const explanation = `${tasksDone(epic)}. ${epic.waits_for ?? ""}`;
  return { state, explanation, key: [pending, running, completed, failed].join(" ") };
}
