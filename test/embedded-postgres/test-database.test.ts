import assert from "node:assert/strict";
import { after, test } from "node:test";
import pg from "pg";
import { testDatabase } from "../support/postgres.ts";

const database = await testDatabase();
after(() => database.close());

test("a test database is migrated and belongs to its test file alone", async () => {
  const { rows } = await database.pool.query("select count(*)::int as tasks from tasks");
  assert.deepEqual(rows, [{ tasks: 0 }]);
});

for (const role of ["engine", "operator", "reader", "pod"] as const) {
  test(`the ${role}'s login gets in and is no superuser`, async () => {
    const client = new pg.Client({ connectionString: database.url(role) });
    await client.connect();
    const { rows } = await client.query(
      "select current_setting('is_superuser') as is_superuser, session_user as login",
    );
    await client.end();
    assert.deepEqual(rows, [{ is_superuser: "off", login: `${database.rolePrefix}_${role}_login` }]);
  });
}
