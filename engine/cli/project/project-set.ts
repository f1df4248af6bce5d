/** `myzel project set`: changes settings of a project. */
import type { Command } from "commander";
import { changeProject } from "../../store/projects.ts";
import { withDatabase } from "../connect.ts";
import { UsageError } from "../failure.ts";
import { addSettings } from "../settings.ts";
import { addProjectOptions, givenChange, sayChanged } from "./project-change.ts";

export function defineSet(command: Command): void {
  command.summary("change settings of a project").argument("<project>", "its name");
  addProjectOptions(command);
  command
    .addHelpText(
      "after",
      `
An empty value takes a setting back. Limits of epics are those of epics that are filed from now on.

Examples:
  myzel project set webapp --merge-policy approval --approver anna
  myzel project set webapp --check ""`,
    )
    .action(async (name: string, options: { json?: boolean }) => {
      const change = givenChange(command);
      if (Object.keys(change).length === 0) {
        throw new UsageError('Nothing is to be changed: say what, for instance --check "npm test".');
      }
      await withDatabase(command, async (database) => {
        sayChanged(await changeProject(database, name, change), options, `Project ${name} is changed.`);
      });
    });
  addSettings(command);
}
