/** The server of a cluster that runs already: found, and stopped. */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { ClusterFiles } from "./cluster-files.ts";
import { DatabaseError } from "./database-error.ts";
import { tryLock } from "./file-lock.ts";
import { serverProcesses, signalAll, waitUntilGone } from "./processes.ts";

const FAST_STOP_TIMEOUT_MS = 30_000;
const ORPHANS_TIMEOUT_MS = 5_000;

/**
 * Whether a server of this cluster runs. Where none does, its stale pid file goes, because Postgres would
 * refuse to start over one whose pid now belongs to somebody else. Backends that outlive their postmaster
 * for a moment are waited for, then ended: a new server must never share the files with them.
 * @throws DatabaseError where a server that is not seen from here holds the files
 */
export async function leftoverIsLive(files: ClusterFiles): Promise<boolean> {
  const deadline = performance.now() + ORPHANS_TIMEOUT_MS;
  for (;;) {
    const alive = await serverProcesses(files.cluster);
    const postmaster = await postmasterPid(files);
    if (postmaster !== null && alive.includes(postmaster.pid)) return true;
    if (alive.length === 0) break;
    if (performance.now() > deadline) {
      signalAll(alive, "SIGKILL");
      await waitUntilGone(files.cluster, ORPHANS_TIMEOUT_MS);
      break;
    }
    await delay(50);
  }
  const lock = await tryLock(files.lock);
  if (lock === null) {
    throw new DatabaseError(
      `the embedded database in ${files.cluster} is in use by a server that is not seen from here ` +
        "(in another container?): stop that one first",
    );
  }
  await rm(join(files.cluster, "postmaster.pid"), { force: true });
  lock.release();
  return false;
}

/** What the cluster's pid file says; null where there is none. */
export async function postmasterPid(files: ClusterFiles): Promise<{ pid: number; port: number } | null> {
  const text = await readFile(join(files.cluster, "postmaster.pid"), "utf8").catch(() => "");
  // Lines: pid, data directory, start time, port, …
  const [pid, , , port] = text.split("\n");
  return pid && port ? { pid: Number(pid), port: Number(port) } : null;
}

/** Fast shutdown first (sessions end, a checkpoint is written); what still lives after that is ended hard. */
export async function stopServer(files: ClusterFiles): Promise<void> {
  const postmaster = await postmasterPid(files);
  const alive = await serverProcesses(files.cluster);
  if (alive.length === 0) return;
  if (postmaster !== null && alive.includes(postmaster.pid)) signalAll([postmaster.pid], "SIGINT");
  if (await waitUntilGone(files.cluster, FAST_STOP_TIMEOUT_MS)) return;
  signalAll(await serverProcesses(files.cluster), "SIGQUIT");
  if (await waitUntilGone(files.cluster, ORPHANS_TIMEOUT_MS)) return;
  signalAll(await serverProcesses(files.cluster), "SIGKILL");
  await waitUntilGone(files.cluster, ORPHANS_TIMEOUT_MS);
}
