/**
 * What lies where in the data directory: `postgres/` (the cluster), `postgres.json` (port and the
 * superuser's password, mode 0600), `postgres.log`,
 * and `postgres.lock`, locked for as long as any process of the server lives.
 */
import { randomBytes } from "node:crypto";
import { chmod, mkdir, open, readFile, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseError } from "./database-error.ts";
import { canReach, type ServerUser } from "./server-user.ts";

/** Name of the embedded server's superuser, whatever the user of the machine is called. */
export const SUPERUSER = "postgres";

const LOG_LIMIT_BYTES = 8 * 2 ** 20;

export interface ClusterFiles {
  readonly cluster: string;
  readonly connection: string;
  readonly log: string;
  readonly lock: string;
}

/** How the running server is reached. */
export interface Connection {
  readonly port: number;
  readonly password: string;
}

export function clusterFiles(dataDir: string): ClusterFiles {
  return {
    cluster: join(dataDir, "postgres"),
    connection: join(dataDir, "postgres.json"),
    log: join(dataDir, "postgres.log"),
    lock: join(dataDir, "postgres.lock"),
  };
}

/**
 * Makes the data directory, one that `user` can pass through.
 * @throws DatabaseError where it cannot be made, or where that user cannot get there
 */
export async function prepareDataDir(dataDir: string, user: ServerUser | null): Promise<void> {
  try {
    await mkdir(dataDir, { recursive: true, mode: user === null ? 0o700 : 0o711 });
  } catch (cause) {
    const why = (cause as Error).message;
    throw new DatabaseError(`the data directory cannot be made (${why}): set MYZEL_DATA_DIR to another place`, {
      cause,
    });
  }
  if (user === null || (await canReach(user, dataDir, "enter"))) return;
  await chmod(dataDir, ((await stat(dataDir)).mode & 0o777) | 0o011);
  if (await canReach(user, dataDir, "enter")) return;
  throw new DatabaseError(
    `the data directory ${dataDir} lies where the user of the embedded Postgres (uid ${user.uid}) cannot get: ` +
      "set MYZEL_DATA_DIR to a place whose parent directories everybody may enter, such as /var/lib/myzel",
  );
}

/**
 * Port and password as stored; null where there are none yet.
 * @throws DatabaseError where the file cannot be read or understood
 */
export async function readConnection(path: string): Promise<Connection | null> {
  try {
    const stored = JSON.parse(await readFile(path, "utf8")) as Partial<Connection>;
    if (typeof stored.port === "number" && typeof stored.password === "string") {
      return { port: stored.port, password: stored.password };
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    if (!(error instanceof SyntaxError)) {
      throw new DatabaseError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
    }
  }
  // The parser's own words would quote the file, and with it the password.
  throw new DatabaseError(`${path} holds no port and password: restore it, or move the data directory away`);
}

export function newPassword(): string {
  return randomBytes(24).toString("base64url");
}

/** Replaces a file whole, mode 0600, on disk before it counts. */
export async function writePrivateFile(path: string, content: string): Promise<void> {
  const partial = `${path}.${process.pid}.new`;
  const file = await open(partial, "w", 0o600);
  try {
    await file.chmod(0o600);
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(partial, path);
}

/** The server's log, for appending; begun anew once it is large. */
export async function openLog(path: string): Promise<FileHandle> {
  const size = await stat(path).then(
    (it) => it.size,
    () => 0,
  );
  if (size > LOG_LIMIT_BYTES) await rm(path, { force: true });
  return open(path, "a", 0o600);
}

/** Length of the log in bytes, to tell later what a start added to it. */
export async function logLength(path: string): Promise<number> {
  return stat(path).then(
    (it) => it.size,
    () => 0,
  );
}

/** What the log holds from `offset` on: at most its last `lines` lines. */
export async function logTail(path: string, options: { offset: number; lines: number }): Promise<string> {
  const bytes = await readFile(path).catch(() => Buffer.alloc(0));
  return bytes.subarray(options.offset).toString("utf8").trimEnd().split("\n").slice(-options.lines).join("\n");
}
