/** `myzel resume`: takes a pause back. */
import type { Command } from "commander";
import { resumeDispatch } from "../../store/steer.ts";
import { withDatabase } from "../connect.ts";
import { addSettings } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";
import { oneLine } from "../terminal/terminal-text.ts";

export function define(command: Command): void {
  command
    .argument("[addressee]", "default: the engine itself; addressees that are paused by name stay so")
    .option("--json", "an object with addressee and paused")
    .addHelpText("after", "\nExamples:\n  myzel resume\n  myzel resume project-mgr-webapp")
    .action(async (addressee: string | undefined, options: { json?: boolean }) => {
      await withDatabase(command, (database) => resumeDispatch(database, addressee));
      if (options.json === true) return sayJson({ addressee: addressee ?? null, paused: false });
      if (addressee === undefined) say("Tasks start again. Take it back with: myzel pause");
      else say(`Tasks for "${oneLine(addressee)}" start again. Take it back with: myzel pause ${oneLine(addressee)}`);
    });
  addSettings(command);
}
