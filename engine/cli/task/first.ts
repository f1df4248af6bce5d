/** `myzel first`: moves a pending task ahead of all others of its addressee. */
import type { Command } from "commander";
import { findTask } from "../../store/find-task.ts";
import { moveFirst, whyNotRunning } from "../../store/steer.ts";
import { withDatabase } from "../connect.ts";
import { addSettings } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";
import { oneLine } from "../terminal/terminal-text.ts";

export function define(command: Command): void {
  command
    .argument("<task>", "id, its beginning or end, or @last")
    .option("--json", "the task as an object")
    .addHelpText("after", "\nWhat runs goes on; it is the next one.\n\nExample:\n  myzel first 3f2a")
    .action(async (given: string, options: { json?: boolean }) => {
      await withDatabase(command, async (database) => {
        const task = await moveFirst(database, await findTask(database, given));
        if (options.json === true) return sayJson(task);
        say(`Task ${task.id} is the first of "${oneLine(task.addressee)}" now.`);
        const why = await whyNotRunning(database, task.id);
        if (why !== null && why.reason !== "starting") say(oneLine(why.explanation));
      });
    });
  addSettings(command);
}
