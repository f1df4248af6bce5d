/** `myzel project`: what is known of a repository. */
import type { Command } from "commander";
import { defineAdd } from "./project-add.ts";
import { defineList } from "./project-list.ts";
import { definePause } from "./project-pause.ts";
import { defineRemove } from "./project-remove.ts";
import { defineSet } from "./project-set.ts";
import { defineShow } from "./project-show.ts";

export function define(command: Command): void {
  command.helpCommand(false).addHelpText(
    "after",
    `
A task belongs to the project of its repository. Inside a checkout, add knows the repository.

Examples:
  myzel project add webapp --setup "npm ci" --check "npm test"
  myzel project set webapp --merge-policy auto --max-live-runs 4
  myzel project pause webapp
  myzel project remove webapp`,
  );
  defineAdd(command.command("add"));
  defineList(command.command("list"));
  defineShow(command.command("show"));
  defineSet(command.command("set"));
  definePause(command.command("pause"), true);
  definePause(command.command("resume"), false);
  defineRemove(command.command("remove"));
}
