/** `myzel enqueue`: files a task; inside a git checkout for that checkout's repository. */
import { randomUUID } from "node:crypto";
import { Option } from "commander";
import type { Command } from "commander";
import type { Database } from "../../store/connection.ts";
import { whyNotRunning } from "../../store/steer.ts";
import { enqueueTask, rehearseEnqueue } from "../../store/tasks.ts";
import type { NewTask, TaskRow } from "../../store/tasks.ts";
import { withDatabase } from "../connect.ts";
import { readPrompt } from "../read-prompt.ts";
import { addSettings } from "../settings.ts";
import { chooseRepository } from "../task-repository.ts";
import { note, say, sayJson } from "../terminal/output.ts";
import { facts, firstLine, oneLine, shortId } from "../terminal/terminal-text.ts";
import { followTask } from "./follow-task.ts";

interface Options {
  to?: string;
  addressee?: string;
  file?: string;
  repo?: string | false;
  branch?: string;
  base?: string;
  profile?: string;
  model?: string;
  effort?: string;
  key?: string;
  kind?: string;
  createdBy?: string;
  dryRun?: boolean;
  wait?: boolean;
  json?: boolean;
}

export function define(command: Command): void {
  command
    .argument("[prompt]", "what is to be done; - or nothing: from standard input")
    .option(
      "--to <addressee>",
      "whose task it is; tasks of one addressee run one after the other (default: worker-<uuid>, at once)",
    )
    .addOption(new Option("--addressee <addressee>", "the same as --to").conflicts("to"))
    .option("--file <path>", "read the prompt from a file")
    .option("--repo <url>", "repository to work in (default: origin of the checkout you are in)")
    .option("--no-repo", "work in an empty directory")
    .option("--branch <name>", "branch to work on, made where it is missing (default: myzel/<task id>)")
    .option("--base <branch>", "where a new branch starts (default: the branch you are on, if origin has it)")
    .option("--profile <name>", "how the agent is run")
    .option("--model <name>", "model, over the profile's")
    .addOption(
      new Option("--effort <level>", "effort, over the profile's").choices(["low", "medium", "high", "xhigh", "max"]),
    )
    .option("--key <text>", "idempotency key: the same key files the task only once")
    .option("--kind <text>", "what sort of task it is, for your own lists")
    .option("--created-by <name>", "who files it; an addressee is told when the task ends (default: the database user)")
    .option("--dry-run", "check and print the row, store nothing")
    .option("--wait", "follow the task to its end; exit code 1 where it fails")
    .option("--json", "the task as an object")
    .addHelpText(
      "after",
      `
Examples:
  myzel enqueue "Fix the failing test in src/date.ts"
  myzel enqueue --file plan.md --to project-mgr-webapp
  git diff | myzel enqueue - --no-repo --wait
  myzel enqueue "Nightly check" --key "nightly-$(date +%F)" --repo https://github.com/you/app.git`,
    )
    .action(async (prompt: string | undefined, options: Options) => {
      const { task, remarks } = await newTask(prompt, options);
      await withDatabase(command, async (database) => {
        if (options.dryRun === true) {
          const row = await rehearseEnqueue(database, task);
          remarks.forEach(note);
          return sayRehearsed(row, task, options);
        }
        const filed = await enqueueTask(database, task);
        remarks.forEach(note);
        if (options.json === true && options.wait !== true) sayJson(filed.task);
        if (options.json !== true)
          await sayFiled(database, { ...filed, base: task.base_branch, wait: options.wait === true });
        if (options.wait === true) {
          process.exitCode = await followTask(database, filed.task.id, { json: options.json === true });
        }
      });
    });
  addSettings(command);
}

async function newTask(prompt: string | undefined, options: Options): Promise<{ task: NewTask; remarks: string[] }> {
  const text = await readPrompt({ argument: prompt, file: options.file });
  const { repoUrl, base, remarks } = await chooseRepository({
    directory: process.cwd(),
    repo: options.repo,
    branch: options.branch,
    base: options.base,
  });
  const task = {
    addressee: options.to ?? options.addressee ?? `worker-${randomUUID()}`,
    prompt: text,
    repo_url: repoUrl,
    branch: options.branch,
    base_branch: base,
    created_by: options.createdBy,
    profile: options.profile,
    model: options.model,
    effort: options.effort,
    idempotency_key: options.key,
    kind: options.kind,
  };
  return { task, remarks };
}

interface Filed {
  task: TaskRow;
  isNew: boolean;
  base: string | undefined;
  wait: boolean;
}

async function sayFiled(database: Database, { task, isNew, base, wait }: Filed): Promise<void> {
  say(isNew ? `Task ${task.id} is filed.` : `Task ${task.id} was filed with this key before; nothing was added.`);
  say(taskFacts(task, base, task.id));
  if (wait) return;
  const why = await whyNotRunning(database, task.id);
  if (why !== null && why.reason !== "starting") say(oneLine(why.explanation));
  say(`Follow it with: myzel logs -f ${shortId(task.id)}`);
}

function sayRehearsed(row: TaskRow, task: NewTask, options: Options): void {
  // The id is made anew when the task is really filed.
  const { id: _, ...rest } = row;
  if (options.json === true) return sayJson(rest);
  say("Nothing is stored; this would be filed:");
  say(taskFacts(row, task.base_branch, "<task id>"));
}

function taskFacts(task: TaskRow, base: string | undefined, id: string): string {
  const hasRepository = task.repo_url !== null;
  return facts([
    ["addressee", oneLine(task.addressee)],
    ["repository", hasRepository ? oneLine(task.repo_url ?? "") : "none (an empty directory)"],
    ["base", hasRepository ? base : null],
    ["branch", hasRepository ? oneLine(task.branch ?? `myzel/${id}`) : null],
    ["prompt", firstLine(task.prompt, 80)],
  ]);
}
