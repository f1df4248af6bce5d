/**
 * Makes a cluster with initdb: UTF8, Postgres's own C.UTF-8 (the same on every machine), data checksums,
 * SCRAM. Atomic: it is made under another name and renamed once it is whole and on disk, so an
 * interrupted attempt is never taken for a cluster.
 */
import { execFile } from "node:child_process";
import { chown, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import type { Binaries } from "./binaries.ts";
import { SUPERUSER } from "./cluster-files.ts";
import { DatabaseError } from "./database-error.ts";
import { serverProcesses, signalAll } from "./processes.ts";
import type { ServerUser } from "./server-user.ts";

const run = promisify(execFile);

/** Middle of the name under which a cluster is made. */
const WORKSHOP = ".new-";
const CLUSTER = "cluster";

interface NewCluster {
  /** The data directory of the cluster to be. */
  readonly dir: string;
  readonly binaries: Binaries;
  readonly user: ServerUser | null;
  readonly password: string;
  /** False for clusters that live no longer than a test. */
  readonly durable: boolean;
}

/**
 * The major version of the cluster in `dir`; null where there is none.
 */
export async function clusterVersion(dir: string): Promise<string | null> {
  return readFile(join(dir, "PG_VERSION"), "utf8").then(
    (text) => text.trim(),
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return null;
      throw new DatabaseError(`the embedded database in ${dir} cannot be read (${error.code})`, { cause: error });
    },
  );
}

/** Removes what interrupted attempts left, and ends what still writes there. */
export async function removeLeftovers(dir: string): Promise<void> {
  const parent = dirname(dir);
  for (const name of await readdir(parent)) {
    if (!name.startsWith(`${basename(dir)}${WORKSHOP}`)) continue;
    const leftover = join(parent, name);
    signalAll(await serverProcesses(join(leftover, CLUSTER)), "SIGKILL");
    // It only takes room: what cannot go now goes next time.
    await rm(leftover, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }).catch(() => {});
  }
}

/**
 * Makes the cluster. Nobody else may do so at the same time.
 * @throws DatabaseError with initdb's last words
 */
export async function makeCluster(cluster: NewCluster): Promise<void> {
  // A name of its own each time: an initdb whose parent was killed may still be writing into the last one.
  const workshop = await mkdtemp(`${cluster.dir}${WORKSHOP}`);
  const passwordFile = join(workshop, "password");
  const dir = join(workshop, CLUSTER);
  await writeFile(passwordFile, cluster.password, { mode: 0o600 });
  if (cluster.user !== null) {
    await chown(passwordFile, cluster.user.uid, cluster.user.gid);
    await chown(workshop, cluster.user.uid, cluster.user.gid);
  }
  try {
    await initdb(cluster, { dir, passwordFile });
    await rename(dir, cluster.dir);
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
}

async function initdb(cluster: NewCluster, paths: { dir: string; passwordFile: string }): Promise<void> {
  const args = [
    `--pgdata=${paths.dir}`,
    `--pwfile=${paths.passwordFile}`,
    `--username=${SUPERUSER}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--text-search-config=english",
    "--data-checksums",
    ...(cluster.durable ? [] : ["--no-sync"]),
  ];
  const ids = cluster.user === null ? {} : { uid: cluster.user.uid, gid: cluster.user.gid };
  const environment = { PATH: "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };
  try {
    await run(cluster.binaries.initdb, args, { ...ids, cwd: "/", env: environment, maxBuffer: 2 ** 24 });
  } catch (cause) {
    const { stderr, message } = cause as { stderr?: string; message: string };
    const lastWords = (stderr || message).trim().split("\n").slice(-4).join("; ");
    throw new DatabaseError(`the embedded database could not be made in ${cluster.dir}: ${lastWords}`, { cause });
  }
}
