import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { dumpSchema } from "../../scripts/dump-schema.ts";
import { testDatabase, type TestDatabase } from "../support/postgres.ts";

async function database(t: TestContext): Promise<TestDatabase> {
  const made = await testDatabase();
  t.after(() => made.close());
  return made;
}

/** The dump's lines that one change to the schema adds. */
async function added(t: TestContext, change: string): Promise<string[]> {
  const db = await database(t);
  const before = new Set((await dumpSchema(db.pool, db)).split("\n"));
  await db.pool.query(change);
  return (await dumpSchema(db.pool, db)).split("\n").filter((line) => !before.has(line));
}

test("two databases made from the same migrations have the same dump", async (t) => {
  const [first, second] = await Promise.all([database(t), database(t)]);
  assert.equal(await dumpSchema(first.pool, first), await dumpSchema(second.pool, second));
});

test("the dump does not depend on the prefix of the roles, and leaves out the records of migrating", async (t) => {
  const db = await database(t);
  const dump = await dumpSchema(db.pool, db);
  assert.match(dump, /^grant .* to myzel_operator;$/m);
  assert.doesNotMatch(dump, /myzel_test_|kysely_migration|schema_functions/);
});

for (const [change, line] of [
  ["alter table tasks add column note text default 'x' not null", /note text default 'x'::text not null/],
  ["alter table tasks add constraint short check (length(prompt) < 10) not valid", /constraint short CHECK/],
  ["create index extra on tasks (repo_url)", /CREATE INDEX extra/],
  ["create view extra as select id from tasks", /create view extra/],
  ["create function extra() returns int language sql return 1", /-- extra\(\) returns integer, sql/],
  ["create or replace function myzel_now() returns timestamptz language sql as 'select now()'", /-- myzel_now\(\)/],
  [
    "create trigger extra before insert on runs for each row execute function refuse_truncate()",
    /CREATE TRIGGER extra/,
  ],
  ["grant select on tasks to myzel_test_pod", /grant select on table tasks to myzel_pod;/],
  ["grant update (prompt) on tasks to myzel_test_pod", /grant update \(prompt\) on table tasks to myzel_pod;/],
] as const) {
  test(`the dump shows it: ${change}`, async (t) => {
    assert.match((await added(t, change)).join("\n"), line);
  });
}
