/** `myzel logs`: what the agent said and did: the stored transcript, or the live log with `-f`. */
import { Option } from "commander";
import type { Command } from "commander";
import type { Config } from "../../config.ts";
import type { Database } from "../../store/connection.ts";
import { NotFoundError } from "../../store/errors.ts";
import { findTask } from "../../store/find-task.ts";
import { runsOf, taskProgress } from "../../store/show.ts";
import type { RunRow } from "../../store/show.ts";
import { transcriptLines } from "../../store/transcripts.ts";
import { withDatabase } from "../connect.ts";
import { EXIT, UsageError } from "../failure.ts";
import { positiveInteger } from "../option-values.ts";
import { addSettings, configOf } from "../settings.ts";
import { note, say } from "../terminal/output.ts";
import { oneLine, shortId } from "../terminal/terminal-text.ts";
import { followRuns } from "./follow-runs.ts";
import { readLiveLog } from "./live-log.ts";
import { isJsonLine, transcriptText } from "./transcript-text.ts";

interface Options {
  follow?: boolean;
  exitStatus?: boolean;
  raw?: boolean;
  json?: boolean;
  attempt?: number;
}

export function define(command: Command): void {
  command
    .argument("<task>", "id, its beginning or end, or @last")
    .option("-f, --follow", "go on until the task has ended")
    .option("--exit-status", "with -f: exit code 1 where the task does not succeed")
    .addOption(
      new Option("--attempt <n>", "of this attempt (default: the newest)")
        .argParser(positiveInteger)
        .conflicts("follow"),
    )
    .option("--raw", 'JSON lines as they are stored; of a live log its words as {type: "log", text}')
    .option("--json", "the same as --raw")
    .addHelpText(
      "after",
      `
Following ends with 0 when all of the log was shown, however the task ended, unless you say --exit-status.

Examples:
  myzel logs @last
  myzel logs -f 3f2a
  myzel logs -f @last --exit-status && git fetch
  myzel logs 3f2a --attempt 1 --raw | jq -c 'select(.type == "result")'`,
    )
    .action(async (given: string, options: Options) => {
      if (options.exitStatus === true && options.follow !== true)
        throw new UsageError("--exit-status goes with --follow: the task may not have ended yet.");
      const config = configOf(command);
      const show = options.raw === true || options.json === true ? sayRaw : sayReadable;
      await withDatabase(command, async (database) => {
        const id = await findTask(database, given);
        if (options.follow === true) {
          const code = await followUntilInterrupt({ database, config, id, show });
          process.exitCode = code === EXIT.failed && options.exitStatus !== true ? EXIT.done : code;
        } else await printOne({ database, config, id, show, attempt: options.attempt });
      });
    });
  addSettings(command);
}

interface Printing {
  database: Database;
  config: Config;
  id: string;
  show: (line: string) => void;
}

async function printOne({
  database,
  config,
  id,
  show,
  attempt,
}: Printing & { attempt: number | undefined }): Promise<void> {
  const runs = await runsOf(database, id);
  const run = attempt === undefined ? runs.at(-1) : runs.find((one) => one.attempt === attempt);
  if (run === undefined) return await sayNoRun(database, { id, runs, attempt });
  // Of a live run the live log has more than what is stored of it so far.
  const lines = await transcriptLines(database, run.id, { ofPublish: run.finished_at === null });
  if (lines !== null) return lines.forEach(show);
  let shown = 0;
  for await (const line of readLiveLog(config, run, { follow: false })) {
    show(line);
    shown++;
  }
  if (shown === 0) {
    const kept = (await transcriptLines(database, run.id)) ?? [];
    kept.forEach(show);
    shown = kept.length;
  }
  if (run.finished_at === null) note(`Attempt ${run.attempt} still runs; follow it with: myzel logs -f ${shortId(id)}`);
  else if (shown === 0) note(`There is no transcript of attempt ${run.attempt}: nothing was said, or it was pruned.`);
}

async function sayNoRun(
  database: Database,
  { id, runs, attempt }: { id: string; runs: readonly RunRow[]; attempt: number | undefined },
): Promise<void> {
  if (attempt !== undefined && runs.length > 0) {
    throw new NotFoundError(
      `Task ${id} has no attempt ${attempt}; it has ${runs.map((run) => run.attempt).join(", ")}.`,
    );
  }
  const progress = await taskProgress(database, id);
  note(`Task ${id} has not run yet. ${oneLine(progress?.explanation ?? "")}`.trim());
}

/** As an exit code: how the task ended, or that somebody stopped looking. */
async function followUntilInterrupt(printing: Printing): Promise<number> {
  const interrupt = new AbortController();
  const onInterrupt = () => interrupt.abort();
  process.once("SIGINT", onInterrupt);
  try {
    const success = await followRuns({ ...printing, signal: interrupt.signal });
    if (!interrupt.signal.aborted) return success ? EXIT.done : EXIT.failed;
    note(`No longer following; task ${printing.id} goes on.`);
    return EXIT.interrupted;
  } finally {
    process.off("SIGINT", onInterrupt);
  }
}

/** A live log has lines for people between the JSON ones. */
function sayRaw(line: string): void {
  say(isJsonLine(line) ? line : JSON.stringify({ type: "log", text: line }));
}

function sayReadable(line: string): void {
  const text = transcriptText(line);
  if (text !== null) say(text);
}
