/** `myzel project show`: one project, its settings and what goes on in it. */
import type { Command } from "commander";
import { showProject } from "../../store/projects.ts";
import { withDatabase } from "../connect.ts";
import { addSettings } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";
import { projectText } from "./project-text.ts";

export function defineShow(command: Command): void {
  command
    .summary("show a project, its settings and what goes on in it")
    .argument("<project>", "its name")
    .option("--json", "one object")
    .addHelpText("after", "\nExample:\n  myzel project show webapp")
    .action(async (name: string, options: { json?: boolean }) => {
      const project = await withDatabase(command, (database) => showProject(database, name));
      if (options.json === true) sayJson(project);
      else say(projectText(project));
    });
  addSettings(command);
}
