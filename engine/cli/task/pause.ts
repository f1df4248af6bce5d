/** `myzel pause`: lets nothing start, or nothing of one addressee. */
import type { Command } from "commander";
import { hasTasks, pauseDispatch } from "../../store/steer.ts";
import { withDatabase } from "../connect.ts";
import { UsageError } from "../failure.ts";
import { addSettings } from "../settings.ts";
import { note, say, sayJson } from "../terminal/output.ts";
import { oneLine } from "../terminal/terminal-text.ts";

export function define(command: Command): void {
  command
    .argument("[addressee]", "default: all")
    .option("--json", "an object with addressee and paused")
    .addHelpText(
      "after",
      `
What runs goes on; only nothing new starts.

Examples:
  myzel pause
  myzel pause project-mgr-webapp`,
    )
    .action(async (addressee: string | undefined, options: { json?: boolean }) => {
      if (addressee?.trim() === "")
        throw new UsageError("The addressee is empty: name one, or leave it out to pause all of them.");
      const known = await withDatabase(command, async (database) => {
        await pauseDispatch(database, addressee);
        return addressee === undefined || (await hasTasks(database, addressee));
      });
      if (!known) note(`Note: no task for "${oneLine(addressee ?? "")}" was ever filed; is the name right?`);
      if (options.json === true) return sayJson({ addressee: addressee ?? null, paused: true });
      if (addressee === undefined) say("Nothing starts any more; what runs goes on. Take it back with: myzel resume");
      else
        say(
          `Nothing for "${oneLine(addressee)}" starts any more; what runs goes on. Take it back with: myzel resume ${oneLine(addressee)}`,
        );
    });
  addSettings(command);
}
