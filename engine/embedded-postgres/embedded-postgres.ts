/**
 * The embedded Postgres server: makes its cluster on first use, starts it, adopts it where it still runs.
 *
 * The server runs in a session of its own, so neither Ctrl-C nor the end of this process ends it; only
 * `stop` does. It listens on loopback only, wants SCRAM, and its superuser's password lies in a file of
 * mode 0600. The caller holds the lock of the data directory (up-lock.ts): two starts at once are its
 * business, not handled here.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { findBinaries } from "./binaries.ts";
import {
  clusterFiles,
  newPassword,
  prepareDataDir,
  readConnection,
  writePrivateFile,
  type ClusterFiles,
  type Connection,
} from "./cluster-files.ts";
import { DatabaseError } from "./database-error.ts";
import { DATABASE, ensureDatabase } from "./ensure-database.ts";
import { clusterVersion, makeCluster, removeLeftovers } from "./make-cluster.ts";
import { ping } from "./ping.ts";
import { freePort } from "./port.ts";
import { serverProcesses } from "./processes.ts";
import { leftoverIsLive, postmasterPid, stopServer } from "./running-server.ts";
import { READY_TIMEOUT_MS, startOnFreePort, urlOf, type Place } from "./start-server.ts";
import { serverUser } from "./server-user.ts";

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

  while (await leftoverIsLive(files)) {
    const adopted = await adopt(files, connection);
    if (adopted === null) continue;
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

/** Null where it ends instead: it was being shut down. */
async function adopt(files: ClusterFiles, stored: Connection): Promise<(Connection & { pid: number }) | null> {
  const running = await postmasterPid(files);
  if (running === null) return null;
  const connection = { port: running.port, password: stored.password };
  const deadline = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    const answer = await ping(urlOf(connection, "postgres"));
    if (answer === "ready") return { ...connection, pid: running.pid };
    if (!(await serverProcesses(files.cluster)).includes(running.pid)) return null;
    if (answer !== "not yet" || performance.now() > deadline) {
      throw new DatabaseError(
        `an embedded Postgres (process ${running.pid}) runs in ${files.cluster} but does not let us in: ` +
          `end it with kill -INT ${running.pid} and start again`,
      );
    }
    await delay(50);
  }
}
