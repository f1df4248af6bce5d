import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import pg from "pg";
import { migrateDatabase } from "../../engine/store/migrate.ts";
import { startDebianServer } from "../support/debian-server.ts";

const TRY = join(import.meta.dirname, "../../deploy/overlays/try");

/** `NAME=value` of each line. */
async function readVariables(file: string): Promise<Record<string, string>> {
  const lines = (await readFile(file, "utf8")).trim().split("\n");
  return Object.fromEntries(lines.map((line) => /^([^=]+)=(.*)$/.exec(line)?.slice(1) ?? []));
}

test("the try overlay's logins are in the groups that the migration grants to, and in no other", async (t) => {
  const hasPsql = spawnSync("psql", ["--version"]).status === 0;
  const server = hasPsql ? await startDebianServer() : null;
  if (server === null) return t.skip("needs Debian's package postgresql-15");
  const scratch = await mkdtemp(join(tmpdir(), "myzel-logins-"));
  try {
    assert.equal(spawnSync(join(TRY, "make-secrets.sh"), [scratch], { input: "token\n" }).status, 0);
    const secrets = await readVariables(join(scratch, "secrets/database.env"));
    const { hostname, port, password } = new URL(server.url);
    const urlOf = (url: string | undefined): string => {
      const moved = new URL(url ?? "");
      moved.host = `${hostname}:${port}`;
      return moved.href;
    };

    // What the image of Postgres does with an empty directory.
    const connection = { PGHOST: hostname, PGPORT: port, PGPASSWORD: password };
    const environment = { PATH: process.env["PATH"], ...connection, ...secrets, POSTGRES_DB: "myzel" };
    const admin = new pg.Client(server.url);
    await admin.connect();
    await admin.query("create database myzel");
    await admin.end();
    const logins = spawnSync(join(TRY, "logins.sh"), { env: environment, encoding: "utf8" });
    assert.equal(logins.status, 0, logins.stderr);

    const owner = new URL(urlOf(secrets["owner-url"]));
    owner.password = password;
    await migrateDatabase({ url: owner.href, rolePrefix: "myzel", log: { info: () => {} } });

    const asEngine = new pg.Client(urlOf(secrets["engine-url"]));
    await asEngine.connect();
    await asEngine.query("insert into tasks (addressee, prompt) values ('worker', 'work')");
    await asEngine.end();
    const asPod = new pg.Client(urlOf(secrets["pod-url"]));
    await asPod.connect();
    await assert.rejects(asPod.query("select load_brief(gen_random_uuid(), 'token', 'pod')"), { code: "MZ003" });
    await assert.rejects(asPod.query("select * from tasks"), { code: "42501" });
    await asPod.end();
  } finally {
    await server.stop();
    await rm(scratch, { recursive: true });
  }
});
