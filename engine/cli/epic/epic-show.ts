/** `myzel epic show`: one epic, what it has spent, its tasks as a tree. */
import type { Command } from "commander";
import { showEpic } from "../../store/epics.ts";
import type { ShownEpic } from "../../store/epics.ts";
import { findEpic } from "../../store/find-task.ts";
import { withDatabase } from "../connect.ts";
import { EXIT, UsageError } from "../failure.ts";
import { addSettings } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";
import { indented } from "../terminal/terminal-text.ts";
import { watch } from "../terminal/watch.ts";
import { epicEnding, epicText, taskLine } from "./epic-text.ts";
import { localPlan } from "./local-plan.ts";

interface Options {
  watch?: boolean;
  exitStatus?: boolean;
  json?: boolean;
}

export function defineShow(command: Command): void {
  command
    .summary("show an epic, what it has spent and its tasks as a tree")
    .argument("<epic>", "id, its beginning or end, or @last")
    .option("-w, --watch", "draw it anew until it has ended; without a terminal a line for each change")
    .option("--exit-status", "with --watch: exit code 1 where it is not finished")
    .option("--json", "one object with its task_list and notes")
    .addHelpText(
      "after",
      `
Inside a checkout of its repository the epic's plan is printed too, as Green last committed it.

Examples:
  myzel epic show @last --watch
  myzel epic show 3f2a --json | jq -r '.task_list[] | select(.success == false) | .code'`,
    )
    .action(async (given: string, options: Options) => {
      if (options.exitStatus === true && options.watch !== true)
        throw new UsageError("--exit-status goes with --watch: the epic may not have ended yet.");
      await withDatabase(command, async (database) => {
        const id = await findEpic(database, given);
        const json = options.json === true;
        const screen = (epic: ShownEpic) => epicText(epic, process.stdout.columns || 140);
        if (options.watch === true) {
          let finished = false;
          const code = await watch<ShownEpic>(
            {
              look: () => showEpic(database, id),
              screen,
              sayChanges: (epic, before) => (json ? sayChangedObject(epic, before) : sayChangedLines(epic, before)),
              isOver: (epic) => {
                finished = epic.state === "finished";
                return isOver(epic);
              },
            },
            { json },
          );
          process.exitCode = code === EXIT.done && options.exitStatus === true && !finished ? EXIT.failed : code;
          return;
        }
        const epic = await showEpic(database, id);
        if (json) return sayJson(epic);
        say(screen(epic));
        const plan = await localPlan(process.cwd(), epic);
        if (plan !== null) say(`\nPlan\n${indented(plan)}`);
      });
    });
  addSettings(command);
}

/** What still runs then ends by itself; it is part of what there is to see. */
function isOver(epic: ShownEpic): boolean {
  return epic.state !== "active" && epic.pending + epic.running === 0;
}

function sayChangedObject(epic: ShownEpic, before: ShownEpic | null): void {
  if (before === null || keyOf(epic) !== keyOf(before)) sayJson(epic);
}

function sayChangedLines(epic: ShownEpic, before: ShownEpic | null): void {
  const known = new Map(before?.task_list.map((task) => [task.id, taskLine(task)]));
  for (const task of epic.task_list) if (known.get(task.id) !== taskLine(task)) say(taskLine(task));
  if (epic.state !== "active" && before?.state !== epic.state) say(epicEnding(epic));
}

/** That time goes by and something was spent is no change. */
function keyOf(epic: ShownEpic): string {
  return JSON.stringify([epic.state, epic.plan_commit, epic.notes.length, epic.task_list.map(taskLine)]);
}
