/**
 * The process launcher: runs as processes of this machine, for a laptop and for tests. The same life
 * cycle as on Kubernetes, not the same isolation.
 *
 * Holds no state of its own: everything is in the run directories and in who answers on their sockets,
 * so that any engine on this host sees and steers the runs of any other. It never waits for a run.
 */
import { hostname } from "node:os";
import { join } from "node:path";
import type { Launcher } from "../launcher.ts";
import { resolveCredential } from "./claude-credential.ts";
import { compiledCode } from "./compiled-code.ts";
import { runDirectory, type ProcessLauncherSettings } from "./launcher-settings.ts";
import { listRuns, observeRuns } from "./observe-runs.ts";
import { readLog } from "./read-log.ts";
import { removeLeftovers, removeRun } from "./remove-run.ts";
import { RUN_FILES, readJson, type RunRecord } from "./run-directory.ts";
import { startRun } from "./start-run.ts";
import { askToStop, probeSupervisor } from "./supervisor-client.ts";
import { createRunWatch } from "./watch-runs.ts";
import { removeOldKits } from "./worker-kit.ts";

export type { ProcessLauncherSettings } from "./launcher-settings.ts";

/** The engine follows the logs of all runs, and each look asks a supervisor. */
const LOG_POLL_MS = 1_000;

export function createProcessLauncher(settings: ProcessLauncherSettings): Launcher {
  const { dataDir, log } = settings;
  const runs = createRunWatch(dataDir, log);
  const compiled = compiledCode(settings);
  const tidied = tidy(settings);

  return {
    name: "process",
    host: hostname(),
    credentialProblem: async (credential) => {
      const resolved = resolveCredential(credential, settings);
      return "problem" in resolved ? resolved.problem : null;
    },
    launch: async (spec) => {
      const started = await startRun(spec, settings, compiled);
      runs.follow(spec.jobName);
      return started;
    },
    observe: async (runIds) => {
      const seen = await observeRuns(dataDir, log, runIds);
      for (const { jobName, state } of seen) if (state !== "ended") runs.follow(jobName);
      return seen;
    },
    watch: (wake) => {
      const stop = runs.add(wake);
      for (const jobName of listRuns(dataDir)) followIfLive(jobName);
      return async () => stop();
    },
    stop: async (jobName, reason) => {
      const directory = runDirectory(dataDir, jobName);
      const { life } = await probeSupervisor(directory);
      if (life === "alive") await askToStop(directory, reason);
      // Never started: with its directory gone, nothing is left to end.
      if (life === "absent") await removeRun(dataDir, directory);
    },
    remove: async (jobName) => removeRun(dataDir, runDirectory(dataDir, jobName)),
    logs: (jobName, reading) => readLog(runDirectory(dataDir, jobName), { pollMs: LOG_POLL_MS, ...reading }),
    close: async () => {
      runs.close();
      await compiled.close();
      await tidied;
    },
  };

  function followIfLive(jobName: string): void {
    const directory = join(runDirectory(dataDir, jobName));
    void probeSupervisor(directory).then(({ life }) => {
      if (life === "alive") runs.follow(jobName);
    });
  }
}

/** Once at start, in the background: what crashes left, and the kits of earlier versions. */
async function tidy({ dataDir, log }: ProcessLauncherSettings): Promise<void> {
  try {
    await removeLeftovers(dataDir);
    const records = listRuns(dataDir).map((name) =>
      readJson<RunRecord>(join(runDirectory(dataDir, name), RUN_FILES.record)),
    );
    const used = records.flatMap((record) =>
      record === null ? [] : [record.node, record.workerImage, record.claude ?? ""],
    );
    await removeOldKits(dataDir, (kit) => used.some((path) => path.startsWith(`${kit}/`)));
  } catch (error) {
    log.warn({ err: error }, "leftovers of earlier runs could not be removed");
  }
}
