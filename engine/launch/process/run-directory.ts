/**
 * The directory of one run, `<data>/runs/<job name>/`: which files it has, and how they are read and
 * written. Everything that an engine knows of a run it learns here, so every file is either whole or
 * not there.
 *
 * Must never hold a secret, but for `claude/` (a copied login), which goes when the run ends.
 */
import { constants, linkSync, openSync, readFileSync, readSync, closeSync, fstatSync } from "node:fs";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { randomBytes } from "node:crypto";

export const RUN_FILES = {
  /** What is to be run: RunRecord. Its presence makes the directory a run. */
  record: "spec.json",
  /** Who runs it: SupervisorRecord. */
  supervisor: "supervisor.json",
  /** The supervisor listens here. Made once and never again: there, the run has been started. */
  socket: "supervisor.sock",
  /** What the supervisor says of its own failures. */
  supervisorLog: "supervisor.log",
  /** Git connections of checkout and publish; there only while one of them runs. */
  relay: "git.sock",
  log: "log",
  /** How it ended: JobEnd. */
  end: "end.json",
  /** Space set aside so that the end can be written on a full disk. */
  reserve: "reserve",
  /** The workspace. */
  work: "work",
  /** Publish's own directory, its HOME, and where it leaves a report. */
  private: "private",
  publishHome: "publish-home",
  spool: "spool",
  /** A copy of the `~/.claude` login, while the run lives. */
  claude: "claude",
  /** The run's way to compiled code. */
  compiled: "compiled",
} as const;

/** What a supervisor needs to know that is no secret. */
export interface RunRecord {
  runId: string;
  jobName: string;
  host: string;
  bootId: string;
  /** The user of the phases; null: the engine's own. */
  uid: number | null;
  createdAt: string;
  deadlineSeconds: number;
  node: string;
  workerImage: string;
  relayClient: string;
  claude: string | null;
  /** NODE_COMPILE_CACHE of the run's programs; null: none. */
  compiled: string | null;
  /** PATH of the phases. */
  path: string;
  lang: string;
  tz: string | null;
  modelBaseUrl: string | null;
  cloneDepth: number | null;
  checksWaitSeconds: number | null;
  /** The repository's bare mirror and the group that may read it; null: none is kept. */
  mirror: { path: string; gid: number | null } | null;
  /** First of the user ids that runs may get, and how many there are; null where runs share the engine's user. */
  runUids: { first: number; count: number } | null;
}

export interface SupervisorRecord {
  pid: number;
  podName: string;
  /** When it started, in clock ticks since boot, as in /proc/<pid>/stat. */
  startTicks: number;
}

/** What a supervisor gets through a pipe and keeps in memory only. */
export interface RunSecrets {
  token: string;
  databaseUrl: string;
  /** May hold a login, so it is treated as a secret. */
  repoUrl: string | null;
  claude: { token: string } | { directory: string } | null;
  /** Values of the profile's secrets, by the agent's variable. */
  profile: Record<string, string>;
}

/** The host's boot, so that a run of before a restart is known to be gone. */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

/** The value of a JSON file of ours; null where the file is missing or no JSON (a disk that lost it in a crash). */
export function readJson<T>(path: string): T | null {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch {
    return null;
  }
}

/** Replaces the file at once; it is never seen half-written. */
export function writeJson(path: string, value: unknown): void {
  const temporary = temporaryName(path);
  try {
    writeFileSync(temporary, JSON.stringify(value), { mode: 0o600, flush: true });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Makes the file with its content in one step; false where it is there already. */
export function createJson(path: string, value: unknown): boolean {
  const temporary = temporaryName(path);
  try {
    writeFileSync(temporary, JSON.stringify(value), { mode: 0o600 });
    linkSync(temporary, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
}

/**
 * Text of a file that a run may have written: no symlink is followed, nothing but a plain file is
 * read, and no more than `maxBytes` of it: its beginning, or its end. Null where there is none.
 */
export function readUntrusted(path: string, maxBytes: number, part: "beginning" | "end" = "beginning"): string | null {
  let file: number | undefined;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = fstatSync(file);
    if (!stat.isFile()) return null;
    const buffer = Buffer.alloc(Math.min(stat.size, maxBytes));
    const read = readSync(file, buffer, 0, buffer.length, part === "end" ? stat.size - buffer.length : 0);
    return buffer.subarray(0, read).toString("utf8");
  } catch {
    return null;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function temporaryName(path: string): string {
  return `${path}.${randomBytes(6).toString("hex")}.new`;
}
