/**
 * Logins for the four roles that migrations make, and where their URLs are kept: `logins.json` in the data
 * directory, mode 0600. For the embedded server and for a server of one's own alike.
 *
 * The password of a login that exists is never changed: another machine may be using it. Where the stored
 * one does not fit, a login of another name is made.
 */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { newPassword, writePrivateFile } from "./cluster-files.ts";
import { DatabaseError } from "./database-error.ts";
import { ping } from "./ping.ts";
import { scramVerifier } from "./scram.ts";

export const LOGIN_ROLES = ["engine", "operator", "reader", "pod"] as const;
export type LoginRole = (typeof LOGIN_ROLES)[number];

/** One URL a role; each holds a password. */
export type Logins = Readonly<Record<LoginRole, string>>;

interface Login {
  readonly name: string;
  readonly password: string;
}

/**
 * Makes the logins that are missing; those that work are left alone. The URLs differ from `adminUrl` in
 * user and password only.
 * @throws DatabaseError where that user may not make roles, or the server does not let the logins in
 */
export async function ensureLogins(options: {
  adminUrl: string;
  rolePrefix: string;
  dataDir: string;
}): Promise<Logins> {
  const { adminUrl, rolePrefix, dataDir } = options;
  const stored = await readLogins(dataDir);
  const urls: Record<LoginRole, string> = { engine: "", operator: "", reader: "", pod: "" };
  const missing: { role: LoginRole; login: Login }[] = [];
  for (const role of LOGIN_ROLES) {
    const known = loginOf(stored?.[role]) ?? { name: `${rolePrefix}_${role}_login`, password: newPassword() };
    urls[role] = withLogin(adminUrl, known);
    const answer = await ping(urls[role]);
    if (answer === "ready") continue;
    if (answer === "not yet") throw new DatabaseError("the database does not answer, or has no connection free");
    const login = (await roleExists(adminUrl, known.name))
      ? { name: `${rolePrefix}_${role}_login_${randomBytes(4).toString("hex")}`, password: newPassword() }
      : known;
    urls[role] = withLogin(adminUrl, login);
    missing.push({ role, login });
  }
  // First the file: interrupted after it, the next call finds the same names and makes what is missing.
  await writePrivateFile(loginsFile(dataDir), `${JSON.stringify(urls, null, 2)}\n`);
  if (missing.length === 0) return urls;
  await makeLogins({ adminUrl, rolePrefix, missing });
  await demandThatTheyWork(urls);
  return urls;
}

/** The stored URLs; null where there are none. */
export async function readLogins(dataDir: string): Promise<Logins | null> {
  const path = loginsFile(dataDir);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw new DatabaseError(`${path} cannot be read (${code}): run as the user that started myzel`);
  }
  try {
    const urls = JSON.parse(text) as Record<LoginRole, string>;
    if (LOGIN_ROLES.every((role) => URL.canParse(urls[role]))) return urls;
  } catch {
    // Said below: the parser's own words would quote the passwords.
  }
  throw new DatabaseError(`${path} holds no database URLs: remove it, and myzel up makes new logins`);
}

function loginsFile(dataDir: string): string {
  return join(dataDir, "logins.json");
}

/** `url` with another user and password, also where it names no host (a socket). */
function withLogin(url: string, login: Login): string {
  const changed = new URL(url);
  changed.searchParams.delete("user");
  changed.searchParams.delete("password");
  if (changed.hostname === "") {
    changed.searchParams.set("user", login.name);
    changed.searchParams.set("password", login.password);
  } else {
    changed.username = login.name;
    changed.password = login.password;
  }
  return changed.href;
}

function loginOf(url: string | undefined): Login | null {
  if (url === undefined) return null;
  const { username, password, searchParams } = new URL(url);
  const name = decodeURIComponent(username) || searchParams.get("user");
  return name ? { name, password: decodeURIComponent(password) || (searchParams.get("password") ?? "") } : null;
}

async function roleExists(adminUrl: string, name: string): Promise<boolean> {
  return asAdmin(adminUrl, async (admin) => {
    const { rowCount } = await admin.query("select from pg_roles where rolname = $1", [name]);
    return rowCount === 1;
  });
}

async function makeLogins(options: {
  adminUrl: string;
  rolePrefix: string;
  missing: readonly { role: LoginRole; login: Login }[];
}): Promise<void> {
  const { adminUrl, rolePrefix, missing } = options;
  await asAdmin(adminUrl, async (admin) => {
    for (const { role, login } of missing) {
      const name = pg.escapeIdentifier(login.name);
      const group = pg.escapeIdentifier(`${rolePrefix}_${role}`);
      const verifier = pg.escapeLiteral(scramVerifier(login.password));
      try {
        await admin.query(`create role ${name} login in role ${group} password ${verifier}`);
      } catch (cause) {
        if (!(cause instanceof pg.DatabaseError)) throw cause;
        throw new DatabaseError(
          `the login ${login.name} could not be made (${cause.message}): give the user of DATABASE_URL the ` +
            `attribute CREATEROLE, or make a login in the role ${rolePrefix}_pod yourself and set MYZEL_POD_DATABASE_URL`,
          { cause },
        );
      }
    }
  });
}

async function demandThatTheyWork(urls: Logins): Promise<void> {
  for (const role of LOGIN_ROLES) {
    if ((await ping(urls[role])) === "ready") continue;
    throw new DatabaseError(
      `the server does not let the login ${loginOf(urls[role])?.name} in: allow it in pg_hba.conf ` +
        "(scram-sha-256), or set MYZEL_POD_DATABASE_URL",
    );
  }
}

async function asAdmin<T>(adminUrl: string, work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: adminUrl });
  admin.on("error", () => {}); // a broken connection is the next statement's error
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.end();
  }
}
