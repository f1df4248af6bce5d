/** How a command line in a new terminal finds the database that `up` runs or uses. */
import type { Config } from "../config.ts";
import { DatabaseError } from "./database-error.ts";
import { readLogins, type LoginRole } from "./logins.ts";

/**
 * The URL for what a person asks for. A `DATABASE_URL` that names a user is used as it is, so that what may be done and
 * what the audit says is that user's; else the login for `role` that `up` made. Nothing is connected to.
 * @throws DatabaseError where there is neither
 */
export async function findDatabase(
  config: Pick<Config, "databaseUrl" | "dataDir">,
  role: LoginRole = "operator",
): Promise<string> {
  const { databaseUrl } = config;
  return databaseUrl !== undefined && namesUser(databaseUrl) ? databaseUrl : await findLogin(config, role);
}

/**
 * The URL for a part of the engine, which holds no more rights than it needs: the login that `up` made for `role`, as
 * stored in the data directory. A `DATABASE_URL` that means another database than those logins is taken as it is.
 * @throws DatabaseError where there is neither
 */
export async function findLogin(config: Pick<Config, "databaseUrl" | "dataDir">, role: LoginRole): Promise<string> {
  const stored = (await readLogins(config.dataDir))?.[role];
  if (config.databaseUrl === undefined) {
    if (stored !== undefined) return stored;
    throw new DatabaseError(
      `no database: nothing was started yet with the data directory ${config.dataDir}. ` +
        "Run myzel up (or npm start), or set MYZEL_DATA_DIR or DATABASE_URL to where it is",
    );
  }
  return stored !== undefined && isSameDatabase(stored, config.databaseUrl) ? stored : config.databaseUrl;
}

function namesUser(url: string): boolean {
  const { username, searchParams } = new URL(url);
  return username !== "" || searchParams.has("user");
}

function isSameDatabase(left: string, right: string): boolean {
  const [a, b] = [new URL(left), new URL(right)];
  const place = (url: URL) => [url.host, url.pathname, url.searchParams.get("host")].join(" ");
  return place(a) === place(b);
}
