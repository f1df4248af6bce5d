/** `myzel project pause` and `myzel project resume`. */
import type { Command } from "commander";
import { changeProject } from "../../store/projects.ts";
import { withDatabase } from "../connect.ts";
import { addSettings } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";
import { oneLine } from "../terminal/terminal-text.ts";

export function definePause(command: Command, paused: boolean): void {
  command
    .summary(paused ? "let nothing of a project start" : "let its tasks start again")
    .argument("<project>", "its name")
    .option("--json", "the project as an object")
    .addHelpText(
      "after",
      `${paused ? "\nWhat runs goes on; only nothing new starts.\n" : ""}\nExample:\n  myzel project ${command.name()} webapp`,
    )
    .action(async (name: string, options: { json?: boolean }) => {
      const project = await withDatabase(command, (database) => changeProject(database, name, { paused }));
      if (options.json === true) return sayJson(project);
      say(
        paused
          ? `Nothing of project ${oneLine(name)} starts any more; what runs goes on. Take it back with: myzel project resume ${oneLine(name)}`
          : `Tasks of project ${oneLine(name)} start again. Take it back with: myzel project pause ${oneLine(name)}`,
      );
    });
  addSettings(command);
}
