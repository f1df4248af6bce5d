/** Starts the server's process, on a port that is free, and waits until it answers. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import type { Binaries } from "./binaries.ts";
import { logLength, logTail, openLog, SUPERUSER, writePrivateFile } from "./cluster-files.ts";
import type { ClusterFiles, Connection } from "./cluster-files.ts";
import { DatabaseError } from "./database-error.ts";
import { tryLock } from "./file-lock.ts";
import { ping } from "./ping.ts";
import { freePort, portIsFree } from "./port.ts";
import { stopServer } from "./running-server.ts";
import type { ServerUser } from "./server-user.ts";

/** Recovery after a crash replays at most a gigabyte of WAL. */
export const READY_TIMEOUT_MS = 120_000;
const PORT_TRIES = 3;

export interface Place {
  readonly files: ClusterFiles;
  readonly binaries: Binaries;
  readonly user: ServerUser | null;
  readonly settings: Readonly<Record<string, string>>;
}

/** The superuser's; holds the password. */
export function urlOf(connection: Connection, database: string): string {
  return `postgresql://${SUPERUSER}:${connection.password}@127.0.0.1:${connection.port}/${database}`;
}

/** Starts on the stored port, on a new one where that is taken; the one that worked is stored. @throws DatabaseError */
export async function startOnFreePort(place: Place, stored: Connection): Promise<Connection & { pid: number }> {
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
