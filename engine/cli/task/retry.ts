/** `myzel retry`: runs a task again. */
import type { Command } from "commander";
import { findTask } from "../../store/find-task.ts";
import { rescheduleTask, whyNotRunning } from "../../store/steer.ts";
import { withDatabase } from "../connect.ts";
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
    .argument("<task>", "id, its beginning or end, or @last")
    .option("--note <text>", "a remark that is added to the end of the prompt")
    .option("--continue", "go on from what the newest attempt left unpushed: its commits and its session")
    .option("--wait", "follow it to its end; exit code 1 where it fails")
    .option("--json", "the task as an object")
    .addHelpText(
      "after",
      `
Without --continue it starts from the start. A running task is stopped first and runs again when its run is gone; one that waits after a failure runs now.

Examples:
  myzel retry 3f2a
  myzel retry @last --note "The tests need Node 24." --wait
  myzel retry 3f2a --continue --note "You may take twice as many turns."`,
    )
    .action(async (given: string, options: Options) => {
      await withDatabase(command, async (database) => {
        const task = await rescheduleTask(database, await findTask(database, given), {
          note: options.note,
          continue: options.continue === true,
        });
        const why = await whyNotRunning(database, task.id);
        if (options.json !== true) {
          say(`Task ${task.id} is pending again. Take it back with: myzel stop ${shortId(task.id)}`);
          if (why !== null && options.wait !== true) say(oneLine(why.explanation));
        } else if (options.wait !== true) sayJson(task);
        if (options.wait === true) {
          process.exitCode = await followTask(database, task.id, { json: options.json === true });
        }
      });
    });
  addSettings(command);
}
