/** `myzel project`: what is known of a repository. */
import type { Command } from "commander";
import { addProject, changeProject, listProjects, showProject } from "../store/projects.ts";
import type { ProjectChange, ShownProject } from "../store/projects.ts";
import { addColumnOptions, givenColumns } from "./column-options.ts";
import { withDatabase } from "./connect.ts";
import { UsageError } from "./failure.ts";
import { note, say, sayJson } from "./output.ts";
import { EPICS, PROJECT_SETTINGS, REPOSITORY, RUNS } from "./project-settings.ts";
import { projectTable, projectText } from "./project-text.ts";
import { addSettings } from "./settings.ts";
import { chooseProjectRepository } from "./task-repository.ts";
import { oneLine } from "./terminal-text.ts";

interface Options {
  json?: boolean;
}

export function define(command: Command): void {
  command.helpCommand(false).addHelpText(
    "after",
    `
A task belongs to the project of its repository. Inside a checkout, add knows the repository.

Examples:
  myzel project add webapp --setup "npm ci" --check "npm test"
  myzel project set webapp --merge-policy auto --max-live-runs 4
  myzel project pause webapp`,
  );
  defineAdd(command.command("add"));
  defineList(command.command("list"));
  defineShow(command.command("show"));
  defineSet(command.command("set"));
  definePause(command.command("pause"), true);
  definePause(command.command("resume"), false);
}

function defineAdd(command: Command): void {
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
    .action(async (name: string, options: Options) => {
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

function defineList(command: Command): void {
  command
    .summary("list projects")
    .option("--json", "one object a line")
    .addHelpText("after", "\nExample:\n  myzel project list")
    .action(async (options: Options) => {
      const projects = await withDatabase(command, listProjects);
      if (options.json === true) for (const project of projects) sayJson(project);
      else if (projects.length === 0) say("No projects. Add one inside its checkout with: myzel project add NAME");
      else say(projectTable(projects));
    });
  addSettings(command);
}

function defineShow(command: Command): void {
  command
    .summary("show a project, its settings and what goes on in it")
    .argument("<project>", "its name")
    .option("--json", "one object")
    .addHelpText("after", "\nExample:\n  myzel project show webapp")
    .action(async (name: string, options: Options) => {
      const project = await withDatabase(command, (database) => showProject(database, name));
      if (options.json === true) sayJson(project);
      else say(projectText(project));
    });
  addSettings(command);
}

function defineSet(command: Command): void {
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
    .action(async (name: string, options: Options) => {
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

function definePause(command: Command, paused: boolean): void {
  command
    .summary(paused ? "let nothing of a project start" : "let its tasks start again")
    .argument("<project>", "its name")
    .option("--json", "the project as an object")
    .addHelpText(
      "after",
      `${paused ? "\nWhat runs goes on; only nothing new starts.\n" : ""}\nExample:\n  myzel project ${command.name()} webapp`,
    )
    .action(async (name: string, options: Options) => {
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

function addProjectOptions(command: Command): void {
  addColumnOptions(command, REPOSITORY, { group: "Repository:", clearable: true });
  addColumnOptions(command, RUNS, { group: "Runs:", clearable: true });
  addColumnOptions(command, EPICS, { group: "Limits of its epics:", clearable: true });
  command.option("--json", "the project as an object");
}

function givenChange(command: Command): ProjectChange {
  const given = givenColumns(command, PROJECT_SETTINGS) as ProjectChange;
  if (given.repo_url === null) throw new UsageError("A project has a repository: --repo cannot be empty.");
  return given;
}

function sayChanged(project: ShownProject, options: Options, sentence: string): void {
  if (options.json === true) return sayJson(project);
  say(sentence);
  say(projectText(project));
}
