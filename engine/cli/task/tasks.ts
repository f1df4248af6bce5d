/** `myzel tasks`: the list. */
import { Option } from "commander";
import type { Command } from "commander";
import { listTasks } from "../../store/tasks.ts";
import { withDatabase } from "../connect.ts";
import { positiveInteger } from "../option-values.ts";
import { addSettings } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";
import { taskTable } from "./task-text.ts";

const DEFAULT_LIMIT = 20;

interface Options {
  status?: string;
  addressee?: string;
  limit: number;
  all?: boolean;
  json?: boolean;
}

export function define(command: Command): void {
  command
    .addOption(new Option("--status <status>", "only these").choices(["pending", "running", "completed"]))
    .option("--addressee <name>", "only those for this addressee")
    .option("--limit <n>", "at most so many", positiveInteger, DEFAULT_LIMIT)
    .option("--all", "all of them")
    .option("--json", "one object a line")
    .addHelpText(
      "after",
      `
Examples:
  myzel tasks --status pending
  myzel tasks --addressee project-mgr-webapp --limit 50
  myzel tasks --all --json | jq -r 'select(.status == "completed") | .result.commit_sha'`,
    )
    .action(async (options: Options) => {
      const limit = options.all === true ? undefined : options.limit;
      const tasks = await withDatabase(command, (database) => listTasks(database, { ...options, limit }));
      if (options.json === true) for (const task of tasks) sayJson(task);
      else if (tasks.length === 0) say('No tasks. File one with: myzel enqueue "What is to be done"');
      else say(taskTable(tasks, process.stdout.columns || 120));
    });
  addSettings(command);
}
