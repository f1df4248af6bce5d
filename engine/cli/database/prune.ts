/** `myzel prune`: does now what the engine does once an hour and once a day, by the same settings. */
import type { Command } from "commander";
import { EVERYTHING, prune } from "../../cron/prune.ts";
import type { Pruned } from "../../cron/prune.ts";
import { findDatabase } from "../../embedded-postgres/find-database.ts";
import { openDatabase } from "../../store/connection.ts";
import { EXIT } from "../failure.ts";
import { addSettings, CONNECTION, configOf } from "../settings.ts";
import { stopSignals } from "../stop-signals.ts";
import { say, sayJson } from "../terminal/output.ts";
import { byteSize } from "../terminal/terminal-text.ts";

interface Options {
  dryRun?: boolean;
  json?: boolean;
}

export function define(command: Command): void {
  command
    .option("--dry-run", "count what would go, change nothing")
    .option("--json", "an object with dry_run, transcripts, transcript_bytes, events, runs and complete")
    .addHelpText(
      "after",
      `
Goes by the settings above, as the engine does by itself. Tasks stay, and so do live runs, all runs of a task
that is not completed, and the newest run of every task. Needs the engine's login: history is not an operator's to delete.

Examples:
  myzel prune --dry-run
  myzel prune --keep-transcripts 7d --max-transcripts 1GB`,
    )
    .action((options: Options) => pruneNow(command, options));
  addSettings(command, [
    ...CONNECTION,
    "MYZEL_KEEP_TRANSCRIPTS",
    "MYZEL_MAX_TRANSCRIPTS",
    "MYZEL_KEEP_RUNS",
    "MYZEL_MAX_RUNS",
  ]);
}

async function pruneNow(command: Command, options: Options): Promise<void> {
  const config = configOf(command);
  const dryRun = options.dryRun === true;
  const url = await findDatabase(config, "engine");
  const stop = stopSignals(() => undefined);
  const database = openDatabase({ url, applicationName: "myzel prune", max: 1 });
  try {
    const pruned = await prune(database, { what: EVERYTHING, keep: config, dryRun, signal: stop.signal });
    if (options.json === true) sayJson({ dry_run: dryRun, ...pruned });
    else say(sentence(pruned, dryRun));
    if (stop.signal.aborted) process.exitCode = EXIT.interrupted;
    else if (!pruned.complete) process.exitCode = EXIT.failed;
  } finally {
    await database.close();
    stop.release();
  }
}

function sentence({ transcripts, transcript_bytes, runs, events, complete }: Pruned, dryRun: boolean): string {
  const counts = `${transcripts} transcripts (${byteSize(transcript_bytes)}), ${events} audit rows and ${runs} runs`;
  const done = dryRun ? `Would prune ${counts}; nothing was changed.` : `Pruned ${counts}.`;
  return complete ? done : `${done} More may be left: it was interrupted, or another session keeps a table locked.`;
}
