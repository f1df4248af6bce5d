/** Follows an epic to its end for a person who waits; Ctrl-C ends the waiting and leaves the epic going. */
import type { Database } from "../store/connection.ts";
import { epicProgress, showEpic } from "../store/epics.ts";
import type { EpicOverview } from "../store/epics.ts";
import { epicEnding, tasksDone } from "./epic-text.ts";
import { EXIT, FailedError } from "./failure.ts";
import { lookUntil } from "./look-until.ts";
import { note, say, sayJson } from "./output.ts";
import { createProgressDisplay } from "./progress-display.ts";
import { shortId } from "./terminal-text.ts";

const LOOK_MS = 500;

/**
 * Waits until the epic has ended and prints how. Returns the exit code: 1 where it is not finished, 130 after Ctrl-C.
 * @throws FailedError where the epic is deleted meanwhile
 */
export async function followEpic(database: Database, id: string, options: { json: boolean }): Promise<number> {
  if ((await waitForEnd(database, id)) === null) {
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

/** Null where it was interrupted. */
async function waitForEnd(database: Database, id: string): Promise<EpicOverview | null> {
  const display = createProgressDisplay();
  try {
    return await lookUntil({
      everyMs: LOOK_MS,
      unreachable: display.remark,
      look: async () => {
        const progress = await epicProgress(database, id);
        if (progress === null) throw new FailedError(`Epic ${id} was deleted while you waited.`);
        return progress;
      },
      see: (epic) => {
        if (epic.state !== "active") return true;
        const { pending, running, completed, failed } = epic;
        display.show({
          state: epic.state,
          explanation: `${tasksDone(epic)}. ${epic.waits_for ?? ""}`,
          key: [pending, running, completed, failed].join(" "),
        });
        return false;
      },
    });
  } finally {
    display.end();
  }
}
