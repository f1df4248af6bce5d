/** `myzel resume`: takes a pause back. */
import type { Command } from "commander";
import { enginePaused, resumeDispatch } from "../../store/steer.ts";
import { withDatabase } from "../connect.ts";
import { UsageError } from "../failure.ts";
import { addSettings } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";
import { oneLine } from "../terminal/terminal-text.ts";

export function define(command: Command): void {
  command
    .argument("[addressee]", "default: the engine itself; addressees that are paused by name stay so")
    .option("--json", "an object with addressee and paused")
    .addHelpText("after", "\nExamples:\n  myzel resume\n  myzel resume project-mgr-webapp")
    .action(async (addressee: string | undefined, options: { json?: boolean }) => {
      if (addressee?.trim() === "")
        throw new UsageError("The addressee is empty: name one, or leave it out to resume the engine.");
      const { was, engine } = await withDatabase(command, async (database) => ({
        was: await resumeDispatch(database, addressee),
        engine: await enginePaused(database),
      }));
      if (options.json === true) return sayJson({ addressee: addressee ?? null, paused: false });
      say(resumed(addressee === undefined ? null : oneLine(addressee), was));
      if (engine) say("The engine is paused as a whole, so nothing starts yet: myzel resume");
    });
  addSettings(command);
}

/** `was`: it was paused before. */
function resumed(addressee: string | null, was: boolean): string {
  if (addressee === null)
    return was
      ? "Tasks start again. Take it back with: myzel pause"
      : "The engine was not paused; nothing was changed.";
  return was
    ? `Tasks for "${addressee}" start again. Take it back with: myzel pause ${addressee}`
    : `"${addressee}" was not paused; nothing was changed.`;
}
