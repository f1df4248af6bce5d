/**
 * A real, migrated database for each test file: cloned from a template that is migrated once and made
 * again when a migration or a function changes.
 */
import { createHash, randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { migrateDatabase } from "../../engine/store/migrate.ts";
import { readSchemaFiles } from "../../engine/store/schema-files.ts";
import { testClusterUrl } from "./test-cluster.ts";

/** Prefix of the roles in test databases; another than the default, so that a forgotten prefix shows. */
export const TEST_ROLE_PREFIX = "myzel_test";

export type TestRole = "engine" | "operator" | "reader" | "pod";
const ROLES: readonly TestRole[] = ["engine", "operator", "reader", "pod"];

/** Who is connected longer is thrown out. */
const MOST_LEAVING_MS = 1_000;

const LOCK = "7310579342188";

export interface TestDatabase {
  readonly name: string;
  readonly rolePrefix: string;
  /** The superuser's URL of this database. */
  readonly adminUrl: string;
  /** As superuser. */
  readonly pool: pg.Pool;
  /** URL of this database for a login that is a member of that role and of no other. */
  url(role: TestRole): string;
  /** Ends the pool and drops the database, whoever is still connected. */
  close(): Promise<void>;
}

/** A migrated database of its own. The caller closes it (`after`). */
export async function testDatabase(): Promise<TestDatabase> {
  return makeDatabase(await testClusterUrl(), ensureTemplate);
}

/** An empty database, for tests of migrating itself. */
export async function emptyDatabase(): Promise<TestDatabase> {
  return makeDatabase(await testClusterUrl(), async () => "template0");
}

async function makeDatabase(
  clusterUrl: string,
  chooseTemplate: (admin: pg.Client, clusterUrl: string) => Promise<string>,
): Promise<TestDatabase> {
  const name = `myzel_test_${randomBytes(6).toString("hex")}`;
  await asAdmin(clusterUrl, async (admin) => {
    // Cloned under the lock too: nobody replaces the template in between.
    await admin.query("select pg_advisory_lock($1)", [LOCK]);
    await admin.query(`create database ${name} template ${await chooseTemplate(admin, clusterUrl)}`);
  });
  const adminUrl = withDatabase(clusterUrl, name);
  const pool = new SettledPool({ connectionString: adminUrl, max: 10 });
  pool.on("error", () => {}); // dropping the database ends idle connections
  let closed: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await pool.end();
    await asAdmin(clusterUrl, async (admin) => {
      await untilNobodyIsConnected(admin, name);
      await admin.query(`drop database if exists ${name} with (force)`);
    });
  };
  return {
    name,
    rolePrefix: TEST_ROLE_PREFIX,
    adminUrl,
    pool,
    url: (role) => loginUrl(clusterUrl, { role, database: name }),
    close: () => (closed ??= close()),
  };
}

/**
 * Tells of a refused statement when its transaction is over. The server sends the error first and gives the rows
 * free after it: a claim that follows at once on another connection would skip them, as SKIP LOCKED is meant to.
 */
class SettledPool extends pg.Pool {
  override query = async (...statement: unknown[]): Promise<never> => {
    const client = await this.connect();
    let broken: Error | undefined;
    try {
      return (await Reflect.apply(client.query, client, statement)) as never; // as what the overloads promise
    } catch (error) {
      await client.query("").catch((lost: Error) => (broken = lost));
      throw error;
    } finally {
      client.release(broken);
    }
  };
}

/** A client that has just been ended may still be there for the server, and would hear of a forced drop as an error. */
async function untilNobodyIsConnected(admin: pg.Client, database: string): Promise<void> {
  const deadline = performance.now() + MOST_LEAVING_MS;
  while (performance.now() < deadline) {
    const { rowCount } = await admin.query("select from pg_stat_activity where datname = $1", [database]);
    if (rowCount === 0) return;
    await delay(10);
  }
}

/** The template's name carries a hash of all SQL, so an edit makes another one. */
async function ensureTemplate(admin: pg.Client, clusterUrl: string): Promise<string> {
  const files = await readSchemaFiles();
  const text = JSON.stringify([files.migrations, files.functions]);
  const name = `myzel_template_${createHash("sha256").update(text).digest("hex").slice(0, 16)}`;
  const { rowCount } = await admin.query("select from pg_database where datname = $1", [name]);
  if (rowCount === 0) await makeTemplate(admin, { clusterUrl, name });
  return name;
}

async function makeTemplate(admin: pg.Client, options: { clusterUrl: string; name: string }): Promise<void> {
  const { clusterUrl, name } = options;
  // Templates of earlier SQL go, and so does what an interrupted attempt left.
  const { rows } = await admin.query<{ datname: string }>(
    "select datname from pg_database where datname like 'myzel\\_template\\_%'",
  );
  for (const { datname } of rows) await admin.query(`drop database if exists ${datname} with (force)`);
  // Under another name until it is whole.
  const draft = `${name}_draft`;
  await admin.query(`create database ${draft} template template0 encoding 'UTF8'`);
  const log = { info: () => {} };
  await migrateDatabase({ url: withDatabase(clusterUrl, draft), rolePrefix: TEST_ROLE_PREFIX, log });
  for (const role of ROLES) await ensureLogin(admin, { clusterUrl, role });
  await admin.query(`alter database ${draft} rename to ${name}`);
}

async function ensureLogin(admin: pg.Client, options: { clusterUrl: string; role: TestRole }): Promise<void> {
  const { username, password } = login(options.clusterUrl, options.role);
  const { rowCount } = await admin.query("select from pg_roles where rolname = $1", [username]);
  if (rowCount === 0) await admin.query(`create role ${username} login in role ${TEST_ROLE_PREFIX}_${options.role}`);
  await admin.query(`alter role ${username} password ${pg.escapeLiteral(password)}`);
}

/** Every test process knows the passwords without asking: they follow from the superuser's URL. */
function login(clusterUrl: string, role: TestRole): { username: string; password: string } {
  const password = createHash("sha256").update(`${clusterUrl} ${role}`).digest("hex");
  return { username: `${TEST_ROLE_PREFIX}_${role}_login`, password };
}

function loginUrl(clusterUrl: string, options: { role: TestRole; database: string }): string {
  const url = new URL(withDatabase(clusterUrl, options.database));
  const { username, password } = login(clusterUrl, options.role);
  url.username = username;
  url.password = password;
  return url.href;
}

function withDatabase(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}

async function asAdmin<T>(clusterUrl: string, work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: clusterUrl });
  admin.on("error", () => {});
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.end();
  }
}
