/** A throwaway server from Debian's package postgresql-15, the oldest major version that Myzel supports. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { access, chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { stablePorts } from "./ports.ts";
import { serverUser, type ServerUser } from "../../engine/embedded-postgres/server-user.ts";

const run = promisify(execFile);
const PROGRAMS = "/usr/lib/postgresql/15/bin";

export interface DebianServer {
  /** The superuser's. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Null where the package is not installed. */
export async function startDebianServer(): Promise<DebianServer | null> {
  const installed = await access(join(PROGRAMS, "postgres")).then(
    () => true,
    () => false,
  );
  if (!installed) return null;
  const user = await serverUser();
  const directory = await mkdtemp(join(tmpdir(), "myzel-debian-server-"));
  const cluster = join(directory, "cluster");
  const password = randomBytes(16).toString("hex");
  const passwordFile = join(directory, "password");
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (user !== null) for (const path of [directory, passwordFile]) await chown(path, user.uid, user.gid);

  const [port = 0] = await stablePorts(1);
  const settings = `-c port=${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off`;
  await as(
    user,
    "initdb",
    ["-D", cluster, "-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8"].concat([
      "--pwfile",
      passwordFile,
    ]),
  );
  await as(user, "pg_ctl", ["-D", cluster, "-o", settings, "-l", join(directory, "log"), "-w", "-s", "start"]);
  return {
    url: `postgresql://postgres:${password}@127.0.0.1:${port}/postgres`,
    stop: async () => {
      await as(user, "pg_ctl", ["-D", cluster, "-m", "immediate", "-w", "-s", "stop"]);
      await rm(directory, { recursive: true });
    },
  };
}

async function as(user: ServerUser | null, program: string, args: readonly string[]): Promise<void> {
  const ids = user === null ? {} : { uid: user.uid, gid: user.gid };
  await run(join(PROGRAMS, program), args, { ...ids, cwd: "/", env: { PATH: "/usr/bin:/bin", LC_ALL: "C.UTF-8" } });
}
