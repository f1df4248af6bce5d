/** What the process launcher is told, and where it keeps what. */
import { chmodSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { LaunchError } from "../launcher.ts";
import { othersMayPass } from "./reachable.ts";

export interface ProcessLauncherSettings {
  dataDir: string;
  /** The pod's login: for checkout and publish. */
  podDatabaseUrl: string;
  modelBaseUrl?: string | undefined;
  /** First user id for runs where the engine is root. */
  runUidBase: number;
  cloneDepth?: number | undefined;
  /** Of a merge, for the checks of its pull request; default: the phase's own. */
  checksWaitSeconds?: number | undefined;
  /** CLAUDE_CODE_OAUTH_TOKEN of the engine, for the credential `default`. */
  claudeToken?: string | undefined;
  /** The engine's: PATH, HOME, SSH_AUTH_SOCK and what credential helpers need. */
  environment: NodeJS.ProcessEnv;
  log: Logger;
  /** Default: the checkout's. */
  workerImageDir?: string | undefined;
}

/** A user of its own for each run: only root can give one. */
export const runsHaveUsers = (): boolean => process.getuid?.() === 0;

/** @throws Error where the name is none that `launch` was ever given */
export function runDirectory(dataDir: string, jobName: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(jobName)) throw new Error(`"${jobName}" is no name of a job`);
  return join(runsDirectory(dataDir), jobName);
}

export function runsDirectory(dataDir: string): string {
  return join(dataDir, "runs");
}

/**
 * Makes the directories that runs need, which their users may pass and not list.
 * @throws LaunchError where the data directory is out of their reach
 */
export function prepareDataDir(dataDir: string): void {
  const mode = runsHaveUsers() ? 0o711 : 0o700;
  for (const directory of [dataDir, runsDirectory(dataDir), join(dataDir, "worker"), join(dataDir, "mirrors")]) {
    mkdirSync(directory, { recursive: true, mode });
    if (!runsHaveUsers()) continue;
    const now = statSync(directory).mode & 0o777;
    if ((now & 0o001) === 0) chmodSync(directory, now | 0o001);
  }
  if (!runsHaveUsers() || othersMayPass(runsDirectory(dataDir))) return;
  throw new LaunchError(
    "launch_failed",
    `The data directory ${dataDir} is out of reach for the unprivileged users that runs get: set MYZEL_DATA_DIR to one below directories that every user may pass, such as /var/lib/myzel.`,
  );
}
