/**
 * Which processes of a Postgres server are alive, told by name and working directory: every one of
 * them, backends included, sits in the data directory of its cluster. A pid file alone is never believed,
 * for pids are used again. Linux only; elsewhere nothing is seen.
 */
import { readdir, readFile, readlink, realpath } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** Pids of the live server processes of the cluster in `dir`; zombies do not count. */
export async function serverProcesses(dir: string): Promise<number[]> {
  const wanted = await realpath(dir).catch(() => dir);
  const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(pids.map((pid) => isServer(join("/proc", pid), wanted)));
  return pids.filter((_, index) => found[index]).map(Number);
}

async function isServer(proc: string, dir: string): Promise<boolean> {
  const at = await readlink(join(proc, "cwd")).catch(() => null);
  if (at !== dir) return false;
  return (await readFile(join(proc, "comm"), "utf8").catch(() => "")).trim() === "postgres";
}

/** Whether they were all gone before the deadline. */
export async function waitUntilGone(dir: string, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while ((await serverProcesses(dir)).length > 0) {
    if (performance.now() > deadline) return false;
    await delay(25);
  }
  return true;
}

/** Sends a signal to each; one that is gone already is no error. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}
