/** The engine with the launcher of its configuration, as `up` and `engine` run it. */
import type { Logger } from "pino";
import type { Config } from "../../config.ts";
import { runEngine } from "../../engine.ts";
import type { Health } from "../../health.ts";
import type { Launcher } from "../../launch/launcher.ts";
import { createProcessLauncher } from "../../launch/process/process-launcher.ts";
import { loadRunKey } from "../../run-key.ts";
import { UsageError } from "../failure.ts";

export interface DaemonOptions {
  config: Config;
  /** Login of the engine's role. */
  databaseUrl: string;
  /** Login of the pod's role, for checkout and publish. */
  podDatabaseUrl: string;
  log: Logger;
  signal: AbortSignal;
  onLead?: (epoch: number) => void;
  health?: Health;
}

/** Runs until the signal; runs that are under way go on without it. @throws UsageError, RefusedError */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const { config, log, signal } = options;
  const runKey = loadRunKey(config.dataDir);
  const launcher = await createLauncher(options);
  try {
    await runEngine({
      databaseUrl: options.databaseUrl,
      launcher,
      log,
      pollIntervalMs: config.pollIntervalMs,
      maxLiveRuns: config.maxLiveRuns,
      follow: { runs: config.followedRuns },
      keepTranscriptsMs: config.keepTranscriptsMs,
      maxTranscriptBytes: config.maxTranscriptBytes,
      keepRunsMs: config.keepRunsMs,
      maxRuns: config.maxRuns,
      runKey,
      signal,
      ...(options.onLead === undefined ? {} : { onLead: options.onLead }),
      ...(options.health === undefined ? {} : { health: options.health }),
    });
  } finally {
    await launcher.close();
  }
}

/** @throws UsageError where the launcher's configuration cannot be used */
async function createLauncher(options: DaemonOptions): Promise<Launcher> {
  const { config, podDatabaseUrl, log } = options;
  if (config.launcher === "kubernetes") return await kubernetesLauncher(options);
  return createProcessLauncher({
    dataDir: config.dataDir,
    podDatabaseUrl,
    modelBaseUrl: config.modelBaseUrl,
    runUidBase: config.runUidBase,
    cloneDepth: config.cloneDepth,
    checksWaitSeconds: config.checksWaitSeconds,
    claudeToken: config.claudeToken,
    environment: process.env,
    log,
  });
}

async function kubernetesLauncher({ config, podDatabaseUrl, log }: DaemonOptions): Promise<Launcher> {
  // Heavy: only an engine that needs it pays.
  const { createKubernetesLauncher } = await import("../../launch/kubernetes/kubernetes-launcher.ts");
  try {
    return await createKubernetesLauncher({
      ...config.kubernetes,
      kubeconfig: config.kubeconfig,
      podDatabaseUrl,
      modelBaseUrl: config.modelBaseUrl,
      cloneDepth: config.cloneDepth,
      checksWaitSeconds: config.checksWaitSeconds,
      log,
    });
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}
