import assert from "node:assert/strict";
import { mkdtemp, mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import pg from "pg";
import { migrateDatabase } from "../../engine/store/migrate.ts";
import { checkSchema } from "../../engine/store/schema-state.ts";
import { emptyDatabase, TEST_ROLE_PREFIX, testDatabase, type TestDatabase } from "../support/postgres.ts";
import { testClusterUrl } from "../support/test-cluster.ts";

const log = { info: () => {} };
const rolePrefix = TEST_ROLE_PREFIX;

const MIGRATIONS = { "0001_first.sql": "create table a (x int);", "0002_second.sql": "create table b (x int);" };
const FUNCTIONS = {
  "alpha.sql": "create or replace function f() returns int language sql return 1;",
  "grants.sql":
    "create table if not exists order_check (prefix text); insert into order_check select current_setting('myzel.role_prefix');",
  "zeta.sql": "create or replace function g() returns int language sql return f() + 1;",
};

async function database(t: TestContext): Promise<TestDatabase> {
  const made = await emptyDatabase();
  t.after(() => made.close());
  return made;
}

/** Directories with the given files. */
async function schemaOf(
  t: TestContext,
  migrations: Record<string, string> = MIGRATIONS,
  functions: Record<string, string> = FUNCTIONS,
): Promise<{ migrations: string; functions: string }> {
  const root = await mkdtemp(join(tmpdir(), "myzel-schema-"));
  t.after(() => rm(root, { recursive: true }));
  const directories = { migrations: join(root, "migrations"), functions: join(root, "functions") };
  for (const [directory, files] of [
    [directories.migrations, migrations],
    [directories.functions, functions],
  ] as const) {
    await mkdir(directory);
    for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
  }
  return directories;
}

async function tables(db: TestDatabase): Promise<string[]> {
  const { rows } = await db.pool.query<{ name: string }>(
    "select relname::text as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1",
  );
  return rows.map((row) => row.name);
}

test("migrations run in order, then the functions, the grants last", async (t) => {
  const db = await database(t);
  const directories = await schemaOf(t);
  const { applied } = await migrateDatabase({ url: db.adminUrl, rolePrefix, log, directories });
  assert.deepEqual(applied, ["0001_first", "0002_second"]);
  const { rows } = await db.pool.query("select g(), prefix from order_check");
  assert.deepEqual(rows, [{ g: 2, prefix: rolePrefix }]);
});

test("migrating twice changes nothing the second time", async (t) => {
  const db = await testDatabase();
  t.after(() => db.close());
  const stamp = async () => (await db.pool.query("select applied_at::text from schema_functions")).rows;
  const before = await stamp();
  const { applied } = await migrateDatabase({ url: db.adminUrl, rolePrefix, log });
  assert.deepEqual(applied, []);
  assert.deepEqual(await stamp(), before);
});

test("a changed function is applied without a migration", async (t) => {
  const db = await database(t);
  await migrateDatabase({ url: db.adminUrl, rolePrefix, log, directories: await schemaOf(t) });
  const changed = { ...FUNCTIONS, "alpha.sql": FUNCTIONS["alpha.sql"].replace("return 1", "return 41") };
  const directories = await schemaOf(t, MIGRATIONS, changed);
  const { applied } = await migrateDatabase({ url: db.adminUrl, rolePrefix, log, directories });
  assert.deepEqual(applied, []);
  assert.deepEqual((await db.pool.query("select g()")).rows, [{ g: 42 }]);
});

test("a migration that fails leaves nothing applied, and says which file and line", async (t) => {
  const db = await database(t);
  const directories = await schemaOf(t, { ...MIGRATIONS, "0003_bad.sql": "create table c (x int);\nselct 1;" });
  await assert.rejects(migrateDatabase({ url: db.adminUrl, rolePrefix, log, directories }), {
    name: "SchemaError",
    message: /0003_bad\.sql failed, nothing was changed: syntax error at or near "selct" \(line 2\)/,
  });
  assert.deepEqual(await tables(db), []);
});

test("a function that fails takes the migrations back with it", async (t) => {
  const db = await database(t);
  const directories = await schemaOf(t, MIGRATIONS, { "bad.sql": "create function f() returns nothing" });
  await assert.rejects(migrateDatabase({ url: db.adminUrl, rolePrefix, log, directories }), /bad\.sql failed/);
  assert.deepEqual(await tables(db), []);
});

test("a migrator killed half-way leaves nothing applied, and the next one goes through", async (t) => {
  const db = await database(t);
  const slow = await schemaOf(t, { ...MIGRATIONS, "0003_slow.sql": "select pg_sleep(60);" });
  const interrupted = migrateDatabase({ url: db.adminUrl, rolePrefix, log, directories: slow });
  const refused = assert.rejects(interrupted);
  await until(async () => {
    const { rowCount } = await db.pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = 'myzel migrate' and query like '%pg_sleep%'`,
    );
    return rowCount === 1;
  });
  await refused;
  assert.deepEqual(await tables(db), []);
  const { applied } = await migrateDatabase({ url: db.adminUrl, rolePrefix, log, directories: await schemaOf(t) });
  assert.equal(applied.length, 2);
});

test("migrators of one database wait for one another", async (t) => {
  const db = await database(t);
  const results = await Promise.all([1, 2, 3].map(() => migrateDatabase({ url: db.adminUrl, rolePrefix, log })));
  assert.equal(results.filter((result) => result.applied.length > 0).length, 1);
  assert.equal((await checkSchema(db.pool, { rolePrefix })).state, "current");
});

test("a table locked by somebody else fails the migration after five seconds instead of blocking everybody", async (t) => {
  const db = await database(t);
  await migrateDatabase({ url: db.adminUrl, rolePrefix, log, directories: await schemaOf(t) });
  const holder = new pg.Client({ connectionString: db.adminUrl });
  await holder.connect();
  await holder.query("begin; lock table a");
  const directories = await schemaOf(t, { ...MIGRATIONS, "0003_third.sql": "alter table a add column y int;" });
  await assert.rejects(
    migrateDatabase({ url: db.adminUrl, rolePrefix, log, directories }),
    /locked by another session/,
  );
  await holder.end();
  await migrateDatabase({ url: db.adminUrl, rolePrefix, log, directories });
});

test("a database that knows a later migration is newer than the program, and is not touched", async (t) => {
  const db = await testDatabase();
  t.after(() => db.close());
  await db.pool.query("insert into kysely_migration (name, timestamp) values ('9999_later', '2030-01-01T00:00:00Z')");
  const { state, sentence } = await checkSchema(db.pool, { rolePrefix });
  assert.equal(state, "newer");
  assert.match(sentence ?? "", /9999_later.*: update myzel$/);
  await assert.rejects(migrateDatabase({ url: db.adminUrl, rolePrefix, log }), /update myzel/);
});

test("a database whose functions a later version wrote is newer than the program", async (t) => {
  const db = await testDatabase();
  t.after(() => db.close());
  await db.pool.query("update schema_functions set program_version = '999.0.0', hash = 'x'");
  assert.equal((await checkSchema(db.pool, { rolePrefix })).state, "newer");
});

test("a database that lacks a migration or has other functions is older than the program", async (t) => {
  const db = await testDatabase();
  t.after(() => db.close());
  await db.pool.query("update schema_functions set hash = 'x'");
  const { state, sentence } = await checkSchema(db.pool, { rolePrefix });
  assert.equal(state, "older");
  assert.match(sentence ?? "", /: run myzel migrate$/);
});

test("an empty database and one with somebody else's tables are told apart, and the second is never migrated", async (t) => {
  const db = await database(t);
  assert.equal((await checkSchema(db.pool, { rolePrefix })).state, "empty");
  await db.pool.query("create table invoices (id int)");
  assert.equal((await checkSchema(db.pool, { rolePrefix })).state, "foreign");
  await assert.rejects(migrateDatabase({ url: db.adminUrl, rolePrefix, log }), /not Myzel's/);
  assert.deepEqual(await tables(db), ["invoices"]);
});

test("every role but the pod's may ask for the schema's state", async (t) => {
  const db = await testDatabase();
  t.after(() => db.close());
  for (const role of ["engine", "operator", "reader"] as const) {
    const pool = new pg.Pool({ connectionString: db.url(role) });
    const { state } = await checkSchema(pool, { rolePrefix });
    await pool.end();
    assert.equal(state, "current", role);
  }
});

test("a database of another encoding than UTF8 is refused with a sentence", async (t) => {
  const cluster = new pg.Client({ connectionString: await testClusterUrl() });
  await cluster.connect();
  const name = `myzel_latin_${process.pid}`;
  await cluster.query(`create database ${name} encoding 'LATIN1' locale_provider libc locale 'C' template template0`);
  t.after(async () => {
    await cluster.query(`drop database ${name} with (force)`);
    await cluster.end();
  });
  const url = new URL(await testClusterUrl());
  url.pathname = `/${name}`;
  await assert.rejects(migrateDatabase({ url: url.href, rolePrefix, log }), /encoding LATIN1; Myzel needs UTF8/);
});

test("the engine's login can bring graphile-worker's schema up to date and work in it", async (t) => {
  const db = await testDatabase();
  t.after(() => db.close());
  const client = new pg.Client({ connectionString: db.url("engine") });
  await client.connect();
  await client.query("select graphile_worker.add_job('nothing')");
  const { rows } = await client.query("select count(*)::int as jobs from graphile_worker.jobs");
  await client.end();
  assert.deepEqual(rows, [{ jobs: 1 }]);
});

test("an ordinary user who owns the database and may create roles can migrate it", async (t) => {
  const db = await database(t);
  const owner = `myzel_owner_${process.pid}`;
  await db.pool.query(`create role ${owner} login createrole password 'x'`);
  await db.pool.query(`alter database ${db.name} owner to ${owner}`);
  const url = new URL(db.adminUrl);
  url.username = owner;
  url.password = "x";
  const prefix = `${owner}_p`;
  t.after(async () => {
    const admin = new pg.Client({ connectionString: await testClusterUrl() });
    await admin.connect();
    await db.close();
    for (const role of ["engine", "operator", "reader", "pod"])
      await admin.query(`drop role if exists ${prefix}_${role}`);
    await admin.query(`drop role ${owner}`);
    await admin.end();
  });
  await migrateDatabase({ url: url.href, rolePrefix: prefix, log });
  assert.equal((await checkSchema(db.pool, { rolePrefix: prefix })).state, "current");
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, "the condition was not met within a minute");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
