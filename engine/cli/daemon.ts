/** The engine with the launcher of its configuration, as `up` and `engine` run it. */
import type { Logger } from "pino";
import type { Config } from "../config.ts";
import { runEngine } from "../engine.ts";
import type { Launcher } from "../launch/launcher.ts";
import { createProcessLauncher } from "../launch/process/process-launcher.ts";
import { loadRunKey } from "../run-key.ts";
import { UsageError } from "./failure.ts";

export interface DaemonOptions {
  config: Config;
  /** Login of the engine's role. */
  databaseUrl: string;
  /** Login of the pod's role, for checkout and publish. */
  podDatabaseUrl: string;
  log: Logger;
  signal: AbortSignal;
  onLead?: (epoch: number) => void;
}

/** Runs until the signal; runs that are under way go on without it. @throws UsageError, RefusedError */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const { config, log, signal } = options;
  const runKey = loadRunKey(config.dataDir);
  const launcher = createLauncher(options);
  try {
    await runEngine({
      databaseUrl: options.databaseUrl,
      launcher,
      log,
      pollIntervalMs: config.pollIntervalMs,
      maxLiveRuns: config.maxLiveRuns,
      keepTranscriptsMs: config.keepTranscriptsMs,
      runKey,
      signal,
      ...(options.onLead === undefined ? {} : { onLead: options.onLead }),
    });
  } finally {
    await launcher.close();
  }
}

/** @throws UsageError where this version has no such launcher */
export function demandLauncher(config: Config): void {
  if (config.launcher === "process") return;
  throw new UsageError(`This version has no launcher "${config.launcher}": set MYZEL_LAUNCHER=process.`);
}

function createLauncher({ config, podDatabaseUrl, log }: DaemonOptions): Launcher {
  return createProcessLauncher({
    dataDir: config.dataDir,
    podDatabaseUrl,
    modelBaseUrl: config.modelBaseUrl,
    runUidBase: config.runUidBase,
    cloneDepth: config.cloneDepth,
    claudeToken: config.claudeToken,
    environment: process.env,
    log,
  });
}
