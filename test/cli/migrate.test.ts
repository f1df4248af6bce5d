/** `myzel migrate` on a server of one's own. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { emptyDatabase } from "../support/postgres.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { myzel, temporaryDirectory } from "./run-myzel.ts";

describe("myzel migrate", () => {
  let database: TestDatabase;
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  before(async () => {
    database = await emptyDatabase();
    directory = await temporaryDirectory();
  });
  after(async () => {
    await database.close();
    await directory.remove();
  });
  const run = async (...args: string[]) => {
    const env = {
      DATABASE_URL: database.adminUrl,
      MYZEL_DATA_DIR: directory.path,
      MYZEL_ROLE_PREFIX: database.rolePrefix,
    };
    const ran = await myzel(["migrate", ...args], { env });
    assert.equal(ran.code, 0, ran.stderr);
    return ran.stdout;
  };

  it("lists what is pending without changing anything, applies it, and then has nothing to do", async () => {
    const { pending } = JSON.parse(await run("--dry-run", "--json"));
    assert.equal(pending[0], "0001_core");
    assert.match(await run("--dry-run"), /the database is empty[^]*0001_core/);
    assert.equal(await run(), `Applied: ${pending.join(", ")}\n`);
    assert.match(await run(), /is current/);
    assert.equal(await run("--dry-run"), "The database is current.\n");
    assert.deepEqual(JSON.parse(await run("--json")), { applied: [] });
  });

  it("a database newer than the program is refused with exit code 2", async () => {
    await database.pool.query("insert into kysely_migration (name, timestamp) values ('9999_future', '2099-01-01')");
    const env = {
      DATABASE_URL: database.adminUrl,
      MYZEL_DATA_DIR: directory.path,
      MYZEL_ROLE_PREFIX: database.rolePrefix,
    };
    const ran = await myzel(["migrate"], { env });
    assert.equal(ran.code, 2);
    assert.match(ran.stderr, /newer than this program[^]*update myzel/);
    const engine = await myzel(["engine"], {
      env: {
        ...env,
        DATABASE_URL: database.adminUrl,
        MYZEL_POD_DATABASE_URL: "postgresql://pod@127.0.0.1:1/x",
        MYZEL_LAUNCHER: "process",
      },
    });
    assert.equal(engine.code, 2);
    assert.match(engine.stderr, /newer than this program/);
  });
});
