/** `myzel why`: the one thing that a task waits for. */
import type { Command } from "commander";
import { NotFoundError } from "../../store/errors.ts";
import { findTask } from "../../store/find-task.ts";
import { whyNotRunning } from "../../store/steer.ts";
import { withDatabase } from "../connect.ts";
import { addSettings } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";
import { oneLine } from "../terminal/terminal-text.ts";

export function define(command: Command): void {
  command
    .argument("<task>", "id, its beginning or end, or @last")
    .option("--json", "an object with id, reason (a code) and explanation")
    .addHelpText("after", "\nExample:\n  myzel why @last")
    .action(async (given: string, options: { json?: boolean }) => {
      await withDatabase(command, async (database) => {
        const id = await findTask(database, given);
        const why = await whyNotRunning(database, id);
        if (why === null) throw new NotFoundError(`There is no task ${id} any more.`);
        if (options.json === true) sayJson({ id, ...why });
        else say(oneLine(why.explanation));
      });
    });
  addSettings(command);
}
