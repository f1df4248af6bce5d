/**
 * Who the embedded server runs as. Postgres refuses root, and wants a name in the user database; so where
 * we are root it runs as a system user of its own, made on first use. Never a user that somebody logs in as.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { DatabaseError } from "./database-error.ts";

const run = promisify(execFile);

/** The system user that is made where we are root. */
const SERVER_USER = "myzel-postgres";

/** Numeric ids to start the server with. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * The user for the server: null where it is whoever we are.
 * @throws DatabaseError where we are root and no user can be made
 */
export async function serverUser(): Promise<ServerUser | null> {
  if (process.getuid?.() !== 0) return null;
  const known = await lookUp(SERVER_USER);
  if (known !== null) return known;
  const failure = await createUser();
  // Also where making it failed: another process may have been first.
  const made = await lookUp(SERVER_USER);
  if (made !== null) return made;
  throw new DatabaseError(
    `Postgres does not run as root, and the system user ${SERVER_USER} could not be made (${failure}): ` +
      `run useradd --system ${SERVER_USER} yourself, start as an ordinary user, or set DATABASE_URL`,
  );
}

/** Whether `user` gets to `path`, asked of the system itself because ACLs and parents count too. */
export async function canReach(user: ServerUser, path: string, want: "execute" | "enter"): Promise<boolean> {
  const test = want === "execute" ? 'test -x "$1"' : 'cd "$1"';
  return run("/bin/sh", ["-c", test, "sh", path], { uid: user.uid, gid: user.gid, cwd: "/" }).then(
    () => true,
    () => false,
  );
}

async function lookUp(name: string): Promise<ServerUser | null> {
  try {
    const [uid, gid] = await Promise.all([run("id", ["-u", name]), run("id", ["-g", name])]);
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  } catch {
    return null;
  }
}

/** Why it failed, in useradd's words; empty where it did not. */
async function createUser(): Promise<string> {
  const settings = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"];
  const options = { env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" } };
  return run("useradd", [...settings, "--shell", "/usr/sbin/nologin", SERVER_USER], options).then(
    () => "",
    (error: { stderr?: string; message: string }) => (error.stderr || error.message).trim().replaceAll("\n", "; "),
  );
}
