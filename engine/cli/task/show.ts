/** `myzel show`: one task, its runs, its result and the end of its transcript. */
import type { Command } from "commander";
import type { Database } from "../../store/connection.ts";
import { findTask } from "../../store/find-task.ts";
import { showTask } from "../../store/show.ts";
import type { ShownTask } from "../../store/show.ts";
import { transcriptLines } from "../../store/transcripts.ts";
import { keptWork } from "../../store/work.ts";
import { withDatabase } from "../connect.ts";
import { addSettings } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";
import { indented, oneLine, shortId } from "../terminal/terminal-text.ts";
import { taskText } from "./task-text.ts";
import { transcriptText } from "./transcript-text.ts";

const TRANSCRIPT_LINES = 20;

export function define(command: Command): void {
  command
    .argument("<task>", "id, its beginning or end, or @last")
    .option("--json", "one object with its runs")
    .addHelpText(
      "after",
      `
Examples:
  myzel show @last
  myzel show 3f2a --json | jq '.runs[-1].commit_sha'`,
    )
    .action(async (given: string, options: { json?: boolean }) => {
      await withDatabase(command, async (database) => {
        const task = await showTask(database, await findTask(database, given));
        if (options.json === true) return sayJson(task);
        say(taskText(task));
        const kept = await newestKept(database, task);
        if (kept !== null) say(`\n${kept}`);
        const end = await transcriptEnd(database, task);
        if (end !== null) say(`\n${end}`);
      });
    });
  addSettings(command);
}

/** What the newest attempt left unpushed; null where it left nothing. */
async function newestKept(database: Database, task: ShownTask): Promise<string | null> {
  const [newest] = await keptWork(database, task.id);
  if (newest === undefined || newest.attempt !== task.runs.at(-1)?.attempt) return null;
  const id = shortId(task.id);
  const commits = `  Commits of branch ${oneLine(newest.branch ?? "")} up to ${newest.head_sha?.slice(0, 10) ?? ""}: myzel work ${id}`;
  return [
    `Kept of attempt ${newest.attempt}, not pushed`,
    ...(newest.head_sha === null ? [] : [commits]),
    `  Go on from there: myzel retry ${id} --continue`,
  ].join("\n");
}

/** The end of the newest transcript there is; null where there is none. */
async function transcriptEnd(database: Database, task: ShownTask): Promise<string | null> {
  for (const run of task.runs.toReversed()) {
    const lines = await transcriptLines(database, run.id);
    if (lines === null) continue;
    const text = lines.flatMap((line) => transcriptText(line)?.split("\n") ?? []);
    const more = text.length > TRANSCRIPT_LINES ? `, all of it: myzel logs ${shortId(task.id)}` : "";
    return `Transcript of attempt ${run.attempt} (the end${more})\n${indented(text.slice(-TRANSCRIPT_LINES).join("\n"))}`;
  }
  return null;
}
