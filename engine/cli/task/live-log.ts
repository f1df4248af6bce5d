/** The log of a run that may still live, line by line: from the data directory, or through the cluster's API. */
import type { Config } from "../../config.ts";
import type { LogPiece } from "../../launch/launcher.ts";
import type { RunRow } from "../../store/show.ts";
import { note } from "../terminal/output.ts";
import { oneLine } from "../terminal/terminal-text.ts";

interface Reading {
  follow: boolean;
  signal?: AbortSignal;
}

/** Somebody looks at it. */
const POLL_MS = 200;

/** Ends at once for runs of another host or another user, and of a cluster that cannot be asked. */
export async function* readLiveLog(config: Config, run: RunRow, options: Reading): AsyncGenerator<string> {
  let rest = "";
  for await (const { text } of piecesOf(config, run, options)) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest;
}

async function* piecesOf(config: Config, run: RunRow, options: Reading): AsyncGenerator<LogPiece> {
  if (run.launcher === "process") yield* fromDataDirectory(config.dataDir, run, options);
  if (run.launcher === "kubernetes") yield* fromCluster(config, run, options);
}

async function* fromDataDirectory(dataDir: string, run: RunRow, options: Reading): AsyncGenerator<LogPiece> {
  const { readLog } = await import("../../launch/process/read-log.ts");
  const { runDirectory } = await import("../../launch/process/launcher-settings.ts");
  yield* readLog(runDirectory(dataDir, run.job_name), { pollMs: POLL_MS, ...options });
}

async function* fromCluster(config: Config, run: RunRow, options: Reading): AsyncGenerator<LogPiece> {
  const { readJobLog } = await import("../../launch/kubernetes/job-log.ts");
  const { createLogger } = await import("../../logging.ts");
  const { namespace, instance } = config.kubernetes;
  const log = createLogger({ level: config.logLevel, readable: true, descriptor: 2 });
  try {
    yield* readJobLog({ kubeconfig: config.kubeconfig, namespace, instance, log }, run.job_name, options);
  } catch (error) {
    note(`The cluster cannot be asked for the log: ${oneLine((error as Error).message)}`);
  }
}
