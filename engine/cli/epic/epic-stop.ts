/** `myzel epic stop`: ends an epic with everything under it. */
import type { Command } from "commander";
import { stopEpic } from "../../store/epics.ts";
import { findEpic } from "../../store/find-task.ts";
import { withDatabase } from "../connect.ts";
import { addSettings } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";

export function defineStop(command: Command): void {
  command
    .summary("stop an epic: its pending tasks are cancelled, its running ones stopped")
    .argument("<epic>", "id, its beginning or end, or @last")
    .option("--reason <text>", "becomes its summary")
    .option("--json", "the epic as an object")
    .addHelpText(
      "after",
      `
What its agents have pushed stays where it is. A stopped epic does not go on; file another one.

Examples:
  myzel epic stop @last
  myzel epic stop 3f2a --reason "the goal has changed"`,
    )
    .action(async (given: string, options: { reason?: string; json?: boolean }) => {
      await withDatabase(command, async (database) => {
        const { epic, before } = await stopEpic(database, await findEpic(database, given), options.reason);
        if (options.json === true) return sayJson(epic);
        say(
          before === "active"
            ? `Epic ${epic.id} is stopped: what was pending is cancelled, what runs is being stopped.`
            : `Epic ${epic.id} had ended already (${before}); nothing was changed.`,
        );
      });
    });
  addSettings(command);
}
