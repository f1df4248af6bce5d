/** `myzel epic file`: files a goal for the Green of a project. */
import { Option } from "commander";
import type { Command } from "commander";
import type { Database } from "../../store/connection.ts";
import { fileEpic, rehearseEpic } from "../../store/epics.ts";
import type { EpicRow, NewEpic } from "../../store/epics.ts";
import { projectOfRepository, showProject } from "../../store/projects.ts";
import { whyNotRunning } from "../../store/steer.ts";
import { addColumnOptions, EPIC_LIMITS, givenColumns } from "../column-options.ts";
import { withDatabase } from "../connect.ts";
import { UsageError } from "../failure.ts";
import { readPrompt } from "../read-prompt.ts";
import type { TextKind } from "../read-prompt.ts";
import { addSettings } from "../settings.ts";
import { chooseProjectRepository } from "../task-repository.ts";
import { note, say, sayJson } from "../terminal/output.ts";
import { oneLine, shortId } from "../terminal/terminal-text.ts";
import { filedFacts } from "./epic-text.ts";
import { followEpic } from "./follow-epic.ts";

interface Options {
  to?: string;
  project?: string;
  repo?: string | false;
  title?: string;
  file?: string;
  key?: string;
  wait?: boolean;
  dryRun?: boolean;
  json?: boolean;
}

const GOAL: TextKind = {
  noun: "goal",
  example: 'myzel epic file "Dates are parsed in every locale"',
  whatToSay: "say what is to be reached",
};

export function defineFile(command: Command): void {
  command
    .summary("file a goal")
    .argument("[goal]", "what is to be reached; - or nothing: from standard input")
    .option("--project <name>", "whose Green and repository (default: the project of the repository)")
    .option("--to <addressee>", "which Green (default: project-mgr-<project>)")
    .addOption(
      new Option("--repo <url>", "repository (default: origin of the checkout you are in)").conflicts("project"),
    )
    .addOption(new Option("--no-repo", "work in an empty directory; needs --to"))
    .option("--title <text>", "a name for lists (default: the first line of the goal)")
    .option("--file <path>", "read the goal from a file")
    .option("--key <text>", "idempotency key: the same key files the epic only once")
    .option("--wait", "follow it to its end; exit code 1 where it is not finished")
    .option("--dry-run", "check and print it, store nothing")
    .option("--json", "the epic as an object");
  addColumnOptions(command, EPIC_LIMITS, { group: "Limits (default: the project's):" });
  command
    .addHelpText(
      "after",
      `
Examples:
  myzel epic file "Dates are parsed in every locale"
  myzel epic file --file goal.md --project webapp --max-tasks 30 --wait
  myzel epic file "Tidy up" --to project-mgr-lib --repo https://git.example.org/you/lib.git`,
    )
    .action(async (goal: string | undefined, options: Options) => {
      const prompt = await readPrompt({ argument: goal, file: options.file, kind: GOAL });
      const limits = givenColumns(command, EPIC_LIMITS);
      await withDatabase(command, async (database) => {
        const where = await choosePlace(database, options);
        await fileOrRehearse(
          database,
          { ...where, prompt, title: options.title, idempotency_key: options.key, limits },
          options,
        );
      });
    });
  addSettings(command);
}

/** @throws UsageError where nothing says which Green, NotFoundError where there is no such project */
async function choosePlace(
  database: Database,
  options: Options,
): Promise<{ addressee: string; repo_url: string | undefined }> {
  if (options.project !== undefined) {
    if (options.repo === false)
      throw new UsageError("A project has a repository: leave out --no-repo, or name a Green with --to.");
    const project = await showProject(database, options.project);
    return { addressee: options.to ?? greenOf(project.name), repo_url: project.repo_url };
  }
  if (options.repo === false) {
    if (options.to === undefined)
      throw new UsageError("Without a repository there is no project: name a Green with --to.");
    return { addressee: options.to, repo_url: undefined };
  }
  const { repoUrl, remarks } = await chooseProjectRepository({ directory: process.cwd(), repo: options.repo });
  for (const remark of remarks) note(remark);
  if (options.to !== undefined) return { addressee: options.to, repo_url: repoUrl };
  if (repoUrl === undefined) {
    throw new UsageError("For which project? Name it with --project, or go into a checkout of its repository.");
  }
  const project = await projectOfRepository(database, repoUrl);
  if (project === null) {
    throw new UsageError(
      `There is no project of ${repoUrl}: add it with myzel project add NAME --repo ${repoUrl}, or name a Green with --to.`,
    );
  }
  return { addressee: greenOf(project), repo_url: repoUrl };
}

function greenOf(project: string): string {
  return `project-mgr-${project}`;
}

async function fileOrRehearse(database: Database, epic: NewEpic, options: Options): Promise<void> {
  if (options.dryRun === true) return sayRehearsed(await rehearseEpic(database, epic), epic, options);
  const filed = await fileEpic(database, epic);
  if (options.json === true && options.wait !== true) sayJson(filed.epic);
  if (options.json !== true) {
    const { id } = filed.epic;
    say(filed.isNew ? `Epic ${id} is filed.` : `Epic ${id} was filed with this key before; nothing was added.`);
    say(filedFacts(filed.epic, epic.prompt));
    if (options.wait !== true) await sayWhatNext(database, id);
  }
  if (options.wait === true) {
    process.exitCode = await followEpic(database, filed.epic.id, { json: options.json === true });
  }
}

async function sayWhatNext(database: Database, id: string): Promise<void> {
  const why = await whyNotRunning(database, id);
  if (why !== null && !["starting", "running", "completed"].includes(why.reason)) say(oneLine(why.explanation));
  say(`Watch it with: myzel epic show ${shortId(id)} --watch`);
}

function sayRehearsed(row: EpicRow, epic: NewEpic, options: Options): void {
  // The id is made anew when the epic is really filed.
  const { id: _, ...rest } = row;
  if (options.json === true) return sayJson(rest);
  say("Nothing is stored; this would be filed:");
  say(filedFacts(row, epic.prompt));
}
