/**
 * Databases of earlier versions, dumped with tasks and runs in every state, are brought up to date: the schema
 * becomes the one that a new database has, nothing is lost, and dispatch goes on.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { gunzipSync } from "node:zlib";
import pg from "pg";
import { makeTickets } from "../../engine/domain/run-token.ts";
import { openDatabase } from "../../engine/store/connection.ts";
import { claimRuns } from "../../engine/store/dispatch.ts";
import { migrateDatabase } from "../../engine/store/migrate.ts";
import { dumpSchema } from "../../scripts/dump-schema.ts";
import { TEST_ROLE_PREFIX, emptyDatabase, testDatabase } from "../support/postgres.ts";

const DUMPS = join(import.meta.dirname, "upgrade");

/** Without the default of ids, which follows the server that a database was made on. */
const schemaOf = async (db: pg.Pool): Promise<string> =>
  (await dumpSchema(db, { rolePrefix: TEST_ROLE_PREFIX })).replaceAll("uuidv7()", "gen_random_uuid()");

async function restore(url: string, dump: string): Promise<void> {
  const client = new pg.Client({ connectionString: url }); // of its own: the dump changes settings of its session
  await client.connect();
  await client.query("drop schema if exists public cascade; create schema public");
  await client.query(gunzipSync(readFileSync(join(DUMPS, dump))).toString("utf8"));
  await client.end();
}

describe("upgrading", () => {
  for (const dump of readdirSync(DUMPS)) {
    it(`a database that stood at migration ${dump.replace(".sql.gz", "")}`, async () => {
      const [old, fresh] = await Promise.all([emptyDatabase(), testDatabase()]);
      try {
        await restore(old.adminUrl, dump);
        const before = await old.pool.query("select id, status, result, addressee from tasks order by id");
        await migrateDatabase({ url: old.adminUrl, rolePrefix: TEST_ROLE_PREFIX, log: { info: () => {} } });
        const after = await old.pool.query("select id, status, result, addressee from tasks order by id");
        assert.deepEqual(after.rows, before.rows);
        assert.equal(await schemaOf(old.pool), await schemaOf(fresh.pool));

        const epoch = await old.pool.query(
          "select raise_epoch(gen_random_uuid(), 'new-host', 1, '1', 'process', 100, '\\x00') as epoch",
        );
        const engine = openDatabase({ url: old.url("engine"), applicationName: "upgrade test", max: 1 });
        const claimed: string[] = [];
        for (let look = 0; look < 5; look++) {
          const tickets = makeTickets(Buffer.alloc(32, 7), 10, Date.now());
          const claim = { epoch: Number(epoch.rows[0].epoch), launcher: "process", host: "new-host", tickets };
          claimed.push(...(await claimRuns(engine, claim)).to_launch.map((run) => run.addressee));
        }
        await engine.close();
        assert.deepEqual(claimed, ["retried"]); // the others run, wait for their slot, or have ended
        const live = await old.pool.query("select addressee from runs where finished_at is null order by 1");
        assert.deepEqual(
          live.rows.map((row) => row.addressee),
          ["busy", "optioned", "project-mgr-old", "retried", "stopped"],
        );
      } finally {
        await Promise.all([old.close(), fresh.close()]);
      }
    });
  }
});
