/** `myzel project list`. */
import type { Command } from "commander";
import { listProjects } from "../../store/projects.ts";
import { withDatabase } from "../connect.ts";
import { addSettings } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";
import { projectTable } from "./project-text.ts";

export function defineList(command: Command): void {
  command
    .alias("ls")
    .summary("list projects")
    .option("--json", "one object a line")
    .addHelpText("after", "\nExample:\n  myzel project list")
    .action(async (options: { json?: boolean }) => {
      const projects = await withDatabase(command, listProjects);
      if (options.json === true) for (const project of projects) sayJson(project);
      else if (projects.length === 0) say("No projects. Add one inside its checkout with: myzel project add NAME");
      else say(projectTable(projects));
    });
  addSettings(command);
}
