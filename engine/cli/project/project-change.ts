/** What `myzel project add` and `myzel project set` share: their options, and what they say at the end. */
import type { Command } from "commander";
import type { ProjectChange, ShownProject } from "../../store/projects.ts";
import { addColumnOptions, givenColumns } from "../column-options.ts";
import { UsageError } from "../failure.ts";
import { say, sayJson } from "../terminal/output.ts";
import { EPICS, PROJECT_SETTINGS, REPOSITORY, RUNS } from "./project-settings.ts";
import { projectText } from "./project-text.ts";

/** Every setting of a project, grouped, and `--json`. */
export function addProjectOptions(command: Command): void {
  addColumnOptions(command, REPOSITORY, { group: "Repository:", clearable: true });
  addColumnOptions(command, RUNS, { group: "Runs:", clearable: true });
  addColumnOptions(command, EPICS, { group: "Limits of its epics:", clearable: true });
  command.option("--json", "the project as an object");
}

/** By the columns of projects; null: taken back. @throws UsageError where the repository is */
export function givenChange(command: Command): ProjectChange {
  const given = givenColumns(command, PROJECT_SETTINGS) as ProjectChange;
  if (given.repo_url === null) throw new UsageError("A project has a repository: --repo cannot be empty.");
  return given;
}

/** The project as an object, or the sentence and everything about it. */
export function sayChanged(project: ShownProject, options: { json?: boolean }, sentence: string): void {
  if (options.json === true) return sayJson(project);
  say(sentence);
  say(projectText(project));
}
