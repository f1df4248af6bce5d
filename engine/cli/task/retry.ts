/** `myzel retry`: runs tasks again. */
import type { Command } from "commander";
import type { Database } from "../../store/connection.ts";
import { findTasks } from "../../store/find-task.ts";
import { rescheduleTask, whyNotRunning } from "../../store/steer.ts";
import { withDatabase } from "../connect.ts";
import { EXIT } from "../failure.ts";
import { addSettings } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";
import { oneLine, shortId } from "../terminal/terminal-text.ts";
import { followTask } from "./follow-task.ts";

interface Options {
  note?: string;
  continue?: boolean;
  wait?: boolean;
  json?: boolean;
}

export function define(command: Command): void {
  command
    .argument("<task...>", "ids, their beginnings or ends, or @last")
    .option("--note <text>", "a remark that is added to the end of the prompt")
    .option("--continue", "go on from what the newest attempt left unpushed: its commits and its session")
    .option("--wait", "follow each to its end; exit code 1 where one fails")
    .option("--json", "each task as an object, one a line")
    .addHelpText(
      "after",
      `
Without --continue it starts from the start. A running task is stopped first and runs again when its run is gone; one that waits after a failure runs now.
Where one of several ids is none, nothing is run again.

Examples:
  myzel retry 3f2a
  myzel retry @last --note "The tests need Node 24." --wait
  myzel retry $(myzel tasks --status failed --json | jq -r .id)
  myzel retry 3f2a --continue --note "You may take twice as many turns."`,
    )
    .action(async (given: string[], options: Options) => {
      await withDatabase(command, async (database) => {
        const ids = await findTasks(database, given);
        for (const id of ids) await retry(database, id, options);
        if (options.wait === true) process.exitCode = await followAll(database, ids, options.json === true);
      });
    });
  addSettings(command);
}

async function retry(database: Database, id: string, options: Options): Promise<void> {
  const task = await rescheduleTask(database, id, { note: options.note, continue: options.continue === true });
  const wait = options.wait === true;
  if (options.json === true) {
    if (!wait) sayJson(task);
    return;
  }
  say(`Task ${id} is pending again. Take it back with: myzel stop ${shortId(id)}`);
  const why = wait ? null : await whyNotRunning(database, id);
  if (why !== null) say(oneLine(why.explanation));
}

/** The exit code of the worst end; nobody waits for more after Ctrl-C. */
async function followAll(database: Database, ids: readonly string[], json: boolean): Promise<number> {
  let worst: number = EXIT.done;
  for (const id of ids) {
    worst = Math.max(worst, await followTask(database, id, { json }));
    if (worst === EXIT.interrupted) return worst;
  }
  return worst;
}
