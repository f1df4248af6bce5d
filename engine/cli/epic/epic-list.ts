/** `myzel epic list`: what is being worked towards. */
import type { Command } from "commander";
import { listEpics } from "../../store/epics.ts";
import type { EpicOverview } from "../../store/epics.ts";
import { withDatabase } from "../connect.ts";
import { addSettings } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";
import { oneLine, shortId } from "../terminal/terminal-text.ts";
import { watch } from "../terminal/watch.ts";
import { epicTable, tasksDone } from "./epic-text.ts";

interface Options {
  all?: boolean;
  watch?: boolean;
  json?: boolean;
}

export function defineList(command: Command): void {
  command
    .alias("ls")
    .summary("list active epics, newest first")
    .option("--all", "those that have ended too")
    .option("-w, --watch", "draw it anew as it changes; without a terminal a line for each change")
    .option("--json", "one object a line")
    .addHelpText(
      "after",
      `
Examples:
  myzel epic list --watch
  myzel epic list --all --json | jq -r 'select(.state == "failed") | .end_code'`,
    )
    .action(async (options: Options) => {
      await withDatabase(command, async (database) => {
        const all = options.all === true;
        const json = options.json === true;
        if (options.watch !== true) return sayList(await listEpics(database, { all }), options);
        // What was active when it was first seen stays in the list when it ends.
        let seen: string[] = [];
        process.exitCode = await watch<EpicOverview[]>(
          {
            look: async () => {
              const epics = await listEpics(database, { all, besides: seen });
              seen = epics.map((epic) => epic.id);
              return epics;
            },
            screen: listText,
            sayChanges: (epics, before) => sayChanges(epics, before ?? [], json),
            isOver: () => false,
          },
          { json },
        );
      });
    });
  addSettings(command);
}

function sayList(epics: readonly EpicOverview[], options: Options): void {
  if (options.json === true) for (const epic of epics) sayJson(epic);
  else say(listText(epics, options.all));
}

function listText(epics: readonly EpicOverview[], all = false): string {
  if (epics.length > 0) return epicTable(epics, process.stdout.columns || 140);
  return all
    ? 'No epics. File one with: myzel epic file "The goal"'
    : "No active epics; those that have ended: myzel epic list --all";
}

function sayChanges(epics: readonly EpicOverview[], before: readonly EpicOverview[], json: boolean): void {
  const known = new Map(before.map((epic) => [epic.id, keyOf(epic)]));
  for (const epic of epics.toReversed()) {
    if (known.get(epic.id) === keyOf(epic)) continue;
    if (json) sayJson(epic);
    else say(`${shortId(epic.id)} ${epic.state}: ${tasksDone(epic)}. ${oneLine(epic.title, 80)}`);
  }
}

/** That time goes by and something was spent is no change. */
function keyOf({ state, pending, running, completed, failed }: EpicOverview): string {
  return [state, pending, running, completed, failed].join(" ");
}
