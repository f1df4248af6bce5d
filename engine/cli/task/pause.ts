/** `myzel pause`: lets nothing start, or nothing of one addressee. */
import type { Command } from "commander";
import { pauseDispatch } from "../../store/steer.ts";
import { withDatabase } from "../connect.ts";
import { addSettings } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";
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
      await withDatabase(command, (database) => pauseDispatch(database, addressee));
      if (options.json === true) return sayJson({ addressee: addressee ?? null, paused: true });
      if (addressee === undefined) say("Nothing starts any more; what runs goes on. Take it back with: myzel resume");
      else
        say(
          `Nothing for "${oneLine(addressee)}" starts any more; what runs goes on. Take it back with: myzel resume ${oneLine(addressee)}`,
        );
    });
  addSettings(command);
}
