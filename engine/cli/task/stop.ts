/** `myzel stop`: stops running tasks, cancels pending ones. */
import type { Command } from "commander";
import { findTasks } from "../../store/find-task.ts";
import { stopTask } from "../../store/steer.ts";
import { withDatabase } from "../connect.ts";
import { addSettings } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";
import { shortId } from "../terminal/terminal-text.ts";

export function define(command: Command): void {
  command
    .argument("<task...>", "ids, their beginnings or ends, or @last")
    .option("--reason <text>", "becomes the error of its result")
    .option("--json", "each task as an object, one a line")
    .addHelpText(
      "after",
      `
Where one of several ids is none, nothing is stopped.

Examples:
  myzel stop @last
  myzel stop $(myzel tasks --status pending --addressee worker-1 --json | jq -r .id)
  myzel stop 3f2a --reason "the wrong branch"`,
    )
    .action(async (given: string[], options: { reason?: string; json?: boolean }) => {
      await withDatabase(command, async (database) => {
        for (const id of await findTasks(database, given)) {
          const { task, before } = await stopTask(database, id, options.reason);
          if (options.json === true) sayJson(task);
          else say(sentence(task.id, before));
        }
      });
    });
  addSettings(command);
}

function sentence(id: string, before: string): string {
  if (before === "completed") return `Task ${id} had ended already; nothing was changed.`;
  const what = before === "running" ? "is being stopped" : "is cancelled and will not run";
  return `Task ${id} ${what}. Run it again with: myzel retry ${shortId(id)}`;
}
