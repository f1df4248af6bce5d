import assert from "node:assert/strict";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import pg from "pg";
import { findDatabase, findLogin } from "../../engine/embedded-postgres/find-database.ts";
import { ensureLogins, LOGIN_ROLES, readLogins } from "../../engine/embedded-postgres/logins.ts";
import { migrateDatabase } from "../../engine/store/migrate.ts";
import { emptyDatabase } from "../support/postgres.ts";
import { testClusterUrl } from "../support/test-cluster.ts";

const log = { info: () => {} };
let count = 0;

/** A migrated database with roles of its own, and an empty data directory. */
async function setting(t: TestContext): Promise<{ adminUrl: string; rolePrefix: string; dataDir: string }> {
  const rolePrefix = `myzel_logins_${process.pid}_${++count}`;
  const db = await emptyDatabase();
  const dataDir = await mkdtemp(join(tmpdir(), "myzel-logins-"));
  t.after(async () => {
    await db.close();
    await rm(dataDir, { recursive: true });
    const admin = new pg.Client({ connectionString: await testClusterUrl() });
    await admin.connect();
    const { rows } = await admin.query<{ name: string }>(
      "select rolname::text as name from pg_roles where starts_with(rolname::text, $1)",
      [rolePrefix],
    );
    for (const { name } of rows) await admin.query(`drop role ${name}`);
    await admin.end();
  });
  await migrateDatabase({ url: db.adminUrl, rolePrefix, log });
  return { adminUrl: db.adminUrl, rolePrefix, dataDir };
}

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows as unknown[];
  } finally {
    await client.end();
  }
}

test("each login gets in and is a member of its own role and no other", async (t) => {
  const options = await setting(t);
  const logins = await ensureLogins(options);
  for (const role of LOGIN_ROLES) {
    const rows = await query(
      logins[role],
      "select array(select rolname::text from pg_roles r where pg_has_role(r.oid, 'member') and rolname <> current_user) as roles",
    );
    assert.deepEqual(rows, [{ roles: [`${options.rolePrefix}_${role}`] }], role);
  }
  assert.equal((await stat(join(options.dataDir, "logins.json"))).mode & 0o777, 0o600);
});

test("a second call changes nothing, and one whose logins were dropped makes them again", async (t) => {
  const options = await setting(t);
  const first = await ensureLogins(options);
  assert.deepEqual(await ensureLogins(options), first);
  await query(options.adminUrl, `drop role ${options.rolePrefix}_pod_login`);
  assert.deepEqual(await ensureLogins(options), first);
  assert.deepEqual(await query(first.pod, "select 1 as one"), [{ one: 1 }]);
});

test("another machine over the same server makes logins of its own and leaves ours working", async (t) => {
  const options = await setting(t);
  const ours = await ensureLogins(options);
  const elsewhere = await mkdtemp(join(tmpdir(), "myzel-logins-"));
  t.after(() => rm(elsewhere, { recursive: true }));
  const theirs = await ensureLogins({ ...options, dataDir: elsewhere });
  assert.notEqual(new URL(theirs.engine).username, new URL(ours.engine).username);
  for (const url of [ours.engine, theirs.engine]) assert.deepEqual(await query(url, "select 1 as one"), [{ one: 1 }]);
});

test("a user who may not make roles is told in one sentence what to set instead", async (t) => {
  const options = await setting(t);
  const plain = `${options.rolePrefix}_plain`;
  await query(options.adminUrl, `create role ${plain} login password 'x'`);
  const url = new URL(options.adminUrl);
  url.username = plain;
  url.password = "x";
  await assert.rejects(ensureLogins({ ...options, adminUrl: url.href }), {
    name: "DatabaseError",
    message: /CREATEROLE.*MYZEL_POD_DATABASE_URL/,
  });
});

test("a command line finds the operator's login through the data directory", async (t) => {
  const options = await setting(t);
  const config = { databaseUrl: undefined, dataDir: options.dataDir };
  await assert.rejects(findDatabase(config), /no database: .*myzel up/);
  const logins = await ensureLogins(options);
  assert.equal(await findDatabase(config), logins.operator);
  assert.equal(await findDatabase(config, "reader"), logins.reader);
});

test("a DATABASE_URL that names a user is used as it is; one that names none takes the login made for it", async (t) => {
  const options = await setting(t);
  const logins = await ensureLogins(options);
  const { dataDir } = options;
  // Nobody who comes as a reader, or under a name of his own, becomes the operator.
  for (const databaseUrl of [options.adminUrl, logins.reader])
    assert.equal(await findDatabase({ databaseUrl, dataDir }), databaseUrl);
  const url = new URL(options.adminUrl);
  url.username = url.password = "";
  assert.equal(await findDatabase({ databaseUrl: url.href, dataDir }), logins.operator);
  assert.equal(await findDatabase({ databaseUrl: url.href, dataDir }, "engine"), logins.engine);
  const other = "postgresql://elsewhere.example/myzel";
  assert.equal(await findDatabase({ databaseUrl: other, dataDir }), other);
});

test("the engine and its runs take the logins made for them, whoever DATABASE_URL names", async (t) => {
  const options = await setting(t);
  const logins = await ensureLogins(options);
  const config = { databaseUrl: options.adminUrl, dataDir: options.dataDir };
  assert.equal(await findLogin(config, "engine"), logins.engine);
  assert.equal(await findLogin(config, "pod"), logins.pod);
  const other = "postgresql://me@elsewhere.example/myzel";
  assert.equal(await findLogin({ ...config, databaseUrl: other }, "pod"), other);
});

test("spoiled logins are said without quoting them", async (t) => {
  const options = await setting(t);
  const file = join(options.dataDir, "logins.json");
  await writeFile(file, '{"engine":"postgresql://u:s3cret@h');
  await assert.rejects(readLogins(options.dataDir), (error: Error) => {
    assert.match(error.message, /holds no database URLs/);
    assert.ok(!error.message.includes("s3cret"));
    return true;
  });
});
