/** `myzel project add`: makes a repository a project. */
import type { Command } from "commander";
import { addProject } from "../../store/projects.ts";
import { withDatabase } from "../connect.ts";
import { UsageError } from "../failure.ts";
import { addSettings } from "../settings.ts";
import { chooseProjectRepository } from "../task-repository.ts";
import { note } from "../terminal/output.ts";
import { addProjectOptions, givenChange, sayChanged } from "./project-change.ts";

export function defineAdd(command: Command): void {
  command
    .summary("add the project of a repository")
    .argument("<name>", "its name; Green's addressee is project-mgr-<name>");
  addProjectOptions(command);
  command
    .addHelpText(
      "after",
      `
Examples:
  myzel project add webapp
  myzel project add lib --repo https://git.example.org/you/lib.git --check "make test" --epic-max-tasks 30`,
    )
    .action(async (name: string, options: { json?: boolean }) => {
      const given = givenChange(command);
      const { repoUrl, remarks } = await chooseProjectRepository({
        directory: process.cwd(),
        repo: given.repo_url ?? undefined,
      });
      if (repoUrl === undefined) {
        throw new UsageError("A project has a repository: name it with --repo, or go into a checkout of it.");
      }
      for (const remark of remarks) note(remark);
      await withDatabase(command, async (database) => {
        const project = await addProject(database, name, { ...given, repo_url: repoUrl });
        sayChanged(
          project,
          options,
          `Project ${name} is added. File its first epic with: myzel epic file "The goal" --project ${name}`,
        );
      });
    });
  addSettings(command);
}
