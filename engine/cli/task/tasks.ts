/** `myzel tasks`: the list. */
import { Option } from "commander";
import type { Command } from "commander";
import { listTasks, TASK_STATES } from "../../store/tasks.ts";
import type { TaskRow, TaskState } from "../../store/tasks.ts";
import { withDatabase } from "../connect.ts";
import { positiveInteger } from "../option-values.ts";
import { addSettings } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";
import { oneLine } from "../terminal/terminal-text.ts";
import { watch } from "../terminal/watch.ts";
import { taskLine, taskTable } from "./task-text.ts";

const DEFAULT_LIMIT = 20;

interface Options {
  status?: TaskState;
  addressee?: string;
  limit: number;
  all?: boolean;
  watch?: boolean;
  json?: boolean;
}

export function define(command: Command): void {
  command
    .addOption(
      new Option("--status <status>", "only these; succeeded and failed are completed ones").choices([...TASK_STATES]),
    )
    .option("--addressee <name>", "only those for this addressee")
    .option("-n, --limit <n>", "at most so many", positiveInteger, DEFAULT_LIMIT)
    .option("--all", "all of them")
    .option("-w, --watch", "draw it anew as it changes; without a terminal a line for each change")
    .option("--json", "one object a line")
    .addHelpText(
      "after",
      `
Examples:
  myzel tasks --status failed
  myzel tasks --addressee project-mgr-webapp --limit 50
  myzel tasks --all --json | jq -r 'select(.status == "completed") | .result.commit_sha'`,
    )
    .action(async (options: Options) => {
      const limit = options.all === true ? undefined : options.limit;
      const json = options.json === true;
      await withDatabase(command, async (database) => {
        const look = () => listTasks(database, { ...options, limit });
        if (options.watch !== true) return sayList(await look(), options);
        process.exitCode = await watch<TaskRow[]>(
          {
            look,
            screen: (tasks) => listText(tasks, options),
            sayChanges: (tasks, before) => sayChanges(tasks, before ?? [], json),
            isOver: () => false,
          },
          { json },
        );
      });
    });
  addSettings(command);
}

function sayList(tasks: readonly TaskRow[], options: Options): void {
  if (options.json === true) for (const task of tasks) sayJson(task);
  else say(listText(tasks, options));
}

function listText(tasks: readonly TaskRow[], options: Options): string {
  return tasks.length === 0 ? noTasks(options) : taskTable(tasks, process.stdout.columns || 120);
}

function sayChanges(tasks: readonly TaskRow[], before: readonly TaskRow[], json: boolean): void {
  const known = new Map(before.map((task) => [task.id, task.status]));
  for (const task of tasks.toReversed()) {
    if (known.get(task.id) === task.status) continue;
    if (json) sayJson(task);
    else say(taskLine(task));
  }
}

function noTasks({ status, addressee }: Options): string {
  if (status === undefined && addressee === undefined)
    return 'No tasks. File one with: myzel enqueue "What is to be done"';
  const of = addressee === undefined ? "" : ` for "${oneLine(addressee)}"`;
  return `No${status === undefined ? "" : ` ${status}`} tasks${of}.`;
}
