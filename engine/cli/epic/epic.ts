/** `myzel epic`: goals that a Green works towards. */
import type { Command } from "commander";
import { defineFile } from "./epic-file.ts";
import { defineList } from "./epic-list.ts";
import { defineShow } from "./epic-show.ts";
import { defineStop } from "./epic-stop.ts";

export function define(command: Command): void {
  command.helpCommand(false).addHelpText(
    "after",
    `
Green plans step by step and creates tasks; Reds do them; it ends by itself, inside limits.

Examples:
  myzel epic file "Dates are parsed in every locale" --project webapp
  myzel epic list
  myzel epic show 3f2a --watch
  myzel epic stop 3f2a`,
  );
  defineFile(command.command("file"));
  defineList(command.command("list"));
  defineShow(command.command("show"));
  defineStop(command.command("stop"));
}
