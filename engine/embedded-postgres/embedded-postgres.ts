/**
 * The embedded Postgres server: makes its cluster on first use, starts it, adopts it where it still runs.
 *
 * The server runs in a session of its own, so neither Ctrl-C nor the end of this process ends it; only
 * `stop` does. It listens on loopback only, wants SCRAM, and its superuser's password lies in a file of
 * mode 0600. The caller holds the lock of the data directory (up-lock.ts): two starts at once are its
 * business, not handled here.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { tryLock } from "./file-lock.ts";
import { findBinaries, type Binaries } from "./binaries.ts";
import {
  clusterFiles,
  logLength,
  logTail,
  newPassword,
  openLog,
  prepareDataDir,
  readConnection,
  SUPERUSER,
  writePrivateFile,
  type ClusterFiles,
  type Connection,
} from "./cluster-files.ts";
import { DatabaseError } from "./database-error.ts";
import { DATABASE, ensureDatabase } from "./ensure-database.ts";
import { clusterVersion, makeCluster, removeLeftovers } from "./make-cluster.ts";
import { freePort, portIsFree } from "./port.ts";
import { ping } from "./ping.ts";
import { serverProcesses, signalAll, waitUntilGone } from "./processes.ts";
import { serverUser, type ServerUser } from "./server-user.ts";

/** Recovery after a crash replays at most a gigabyte of WAL. */
const READY_TIMEOUT_MS = 120_000;
const FAST_STOP_TIMEOUT_MS = 30_000;
const ORPHANS_TIMEOUT_MS = 5_000;
const PORT_TRIES = 3;

export interface EmbeddedPostgres {
  /** The superuser's URL of the database `myzel`; holds the password. */
  readonly adminUrl: string;
  readonly port: number;
  /** The postmaster. */
  readonly pid: number;
  /** It was running already. */
  readonly adopted: boolean;
  /** Ends sessions and the server, orderly where it can be. May be called twice. */
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  readonly dataDir: string;
  readonly log: Pick<Logger, "info" | "warn">;
  /** Further server settings, by name. */
  readonly settings?: Readonly<Record<string, string>>;
  /** False for clusters that live no longer than a test. */
  readonly durable?: boolean;
}

interface Place {
  readonly files: ClusterFiles;
  readonly binaries: Binaries;
  readonly user: ServerUser | null;
  readonly settings: Readonly<Record<string, string>>;
}

/**
 * Starts the server of `dataDir` or adopts the one that runs; returns once it answers.
 * @throws DatabaseError with one sentence and, where the server said something, its last words
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { dataDir, log, settings = {}, durable = true } = options;
  const user = await serverUser();
  await prepareDataDir(dataDir, user);
  const files = clusterFiles(dataDir);
  const place: Place = { files, user, settings, binaries: await findBinaries({ dataDir, user }) };
  const connection = await ensureCluster(place, durable);

  if (await leftoverIsLive(files)) {
    const adopted = await adopt(files, connection);
    await ensureDatabase(adopted);
    log.info({ port: adopted.port, pid: adopted.pid }, "embedded Postgres adopted");
    return handle(files, adopted, true);
  }
  const started = await startOnFreePort(place, connection);
  try {
    await ensureDatabase(started);
  } catch (error) {
    await stopServer(files);
    throw error;
  }
  log.info({ port: started.port, pid: started.pid }, "embedded Postgres started");
  return handle(files, started, false);
}

function handle(files: ClusterFiles, server: Connection & { pid: number }, adopted: boolean): EmbeddedPostgres {
  return {
    adminUrl: urlOf(server, DATABASE),
    port: server.port,
    pid: server.pid,
    adopted,
    stop: () => stopServer(files),
  };
}

function urlOf(connection: Connection, database: string): string {
  return `postgresql://${SUPERUSER}:${connection.password}@127.0.0.1:${connection.port}/${database}`;
}

/** The cluster of this directory, made where there is none, and how to reach it. */
async function ensureCluster(place: Place, durable: boolean): Promise<Connection> {
  const { files, binaries, user } = place;
  await removeLeftovers(files.cluster);
  const version = await clusterVersion(files.cluster);
  const stored = await readConnection(files.connection);
  if (version !== null) {
    refuseOtherVersion({ dir: files.cluster, found: version, wanted: binaries.version.split(".")[0] ?? "" });
    if (stored !== null) return stored;
    throw new DatabaseError(
      `the embedded database in ${files.cluster} has lost ${files.connection}, which holds its password: ` +
        "restore that file, or move both away to begin with an empty database",
    );
  }
  // The password comes first: a cluster never exists without the file that opens it.
  const connection = stored ?? { port: await freePort(), password: newPassword() };
  await writePrivateFile(files.connection, JSON.stringify(connection));
  await makeCluster({ dir: files.cluster, binaries, user, password: connection.password, durable });
  return connection;
}

function refuseOtherVersion(options: { dir: string; found: string; wanted: string }): void {
  const { dir, found, wanted } = options;
  if (found === wanted) return;
  throw new DatabaseError(
    `the embedded database in ${dir} was made by Postgres ${found}, but this Myzel brings Postgres ${wanted}: ` +
      `go on with the Myzel that made it, or move its tasks over with pg_dump of Postgres ${found}, ` +
      "or set MYZEL_DATA_DIR to another directory to begin with an empty database",
  );
}

/**
 * Whether a server of this cluster runs. Where none does, its stale pid file goes, because Postgres would
 * refuse to start over one whose pid now belongs to somebody else. Backends that outlive their postmaster
 * for a moment are waited for, then ended: a new server must never share the files with them.
 */
async function leftoverIsLive(files: ClusterFiles): Promise<boolean> {
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

async function postmasterPid(files: ClusterFiles): Promise<{ pid: number; port: number } | null> {
  const text = await readFile(join(files.cluster, "postmaster.pid"), "utf8").catch(() => "");
  // Lines: pid, data directory, start time, port, …
  const [pid, , , port] = text.split("\n");
  return pid && port ? { pid: Number(pid), port: Number(port) } : null;
}

async function adopt(files: ClusterFiles, stored: Connection): Promise<Connection & { pid: number }> {
  const running = await postmasterPid(files);
  if (running === null)
    throw new DatabaseError(`the embedded Postgres in ${files.cluster} stopped while being adopted`);
  const connection = { port: running.port, password: stored.password };
  const deadline = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    const answer = await ping(urlOf(connection, "postgres"));
    if (answer === "ready") return { ...connection, pid: running.pid };
    if (answer !== "not yet" || performance.now() > deadline) {
      throw new DatabaseError(
        `an embedded Postgres (process ${running.pid}) runs in ${files.cluster} but does not let us in: ` +
          `end it with kill -INT ${running.pid} and start again`,
      );
    }
    await delay(50);
  }
}

/** Starts on the stored port, on a new one where that is taken; the one that worked is stored. */
async function startOnFreePort(place: Place, stored: Connection): Promise<Connection & { pid: number }> {
  let port = (await portIsFree(stored.port)) ? stored.port : await freePort();
  for (let attempt = 1; ; attempt++) {
    const connection = { port, password: stored.password };
    if (port !== stored.port) await writePrivateFile(place.files.connection, JSON.stringify(connection));
    const started = await start(place, connection);
    if ("pid" in started) return { ...connection, pid: started.pid };
    if (attempt === PORT_TRIES || !/could not (bind|create any TCP\/IP)/.test(started.said)) {
      throw new DatabaseError(explain(place.files, started.said));
    }
    port = await freePort();
  }
}

/** The pid once the server answers, or what it said before it ended. */
async function start(place: Place, connection: Connection): Promise<{ pid: number } | { said: string }> {
  const { files } = place;
  const offset = await logLength(files.log);
  const child = await spawnServer(place, connection.port);
  let ended = false;
  child.once("exit", () => (ended = true));
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!ended && performance.now() < deadline) {
    if ((await ping(urlOf(connection, "postgres"))) === "ready" && !ended && child.pid !== undefined)
      return { pid: child.pid };
    await delay(25);
  }
  if (!ended) await stopServer(files);
  return { said: await logTail(files.log, { offset, lines: 8 }) };
}

async function spawnServer(place: Place, port: number): Promise<ChildProcess> {
  const settings: Record<string, string> = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    // No socket: nothing stale can lie about, and no path can be too long for one.
    unix_socket_directories: "",
    max_connections: "200",
    timezone: "UTC",
    log_timezone: "UTC",
    log_checkpoints: "off",
    ...place.settings,
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const log = await openLog(place.files.log);
  // Inherited by every process of the server, and so held until the last of them is gone.
  const lock = await tryLock(place.files.lock);
  if (lock === null) throw new DatabaseError(`a server was started in ${place.files.cluster} at the same time`);
  const child = spawn(place.binaries.postgres, ["-D", place.files.cluster, ...args], {
    ...(place.user === null ? {} : { uid: place.user.uid, gid: place.user.gid }),
    cwd: "/",
    // A clean environment: nothing that happens to be set here reaches the server or its children.
    env: { PATH: "/usr/bin:/bin", LC_ALL: "C" },
    detached: true,
    stdio: ["ignore", log.fd, log.fd, lock.fd],
  });
  try {
    await once(child, "spawn");
  } catch (cause) {
    throw new DatabaseError(`the embedded Postgres could not be started: ${(cause as Error).message}`, { cause });
  } finally {
    await log.close();
    lock.release();
  }
  child.unref();
  return child;
}

function explain(files: ClusterFiles, said: string): string {
  const cause = /No space left on device/.test(said)
    ? "the disk is full: make room and start again"
    : /Permission denied/.test(said)
      ? "it may not read or write its files: look at their owner and mode"
      : `look into ${files.log}`;
  return `the embedded Postgres in ${files.cluster} did not start: ${cause}. It said:\n${said || "(nothing)"}`;
}

/** Fast shutdown first (sessions end, a checkpoint is written); what still lives after that is ended hard. */
async function stopServer(files: ClusterFiles): Promise<void> {
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
