/** What tests of commands share: the command line on a database of its own. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";
import { myzel, temporaryDirectory } from "./run-myzel.ts";

interface CommandLine {
  readonly db: SchemaClient;
  /** An empty directory. */
  readonly directory: string;
  /** Settings: the operator's login, the directory for data. */
  readonly env: Record<string, string>;
  /** What a command prints that succeeds. */
  run(...args: string[]): Promise<string>;
  /** What a command says that is wrong usage: exit code 2, one sentence, nothing on standard output. */
  refused(...args: string[]): Promise<string>;
  /** Rows of a query of the database's owner. */
  rows(sql: string, values?: unknown[]): Promise<ReturnType<typeof JSON.parse>[]>;
}

/** Called inside of a `describe`: database and directory are there before its tests and gone after them. */
export function commandLine(): CommandLine {
  let db: SchemaClient;
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  before(async () => {
    db = await schemaClient();
    directory = await temporaryDirectory();
  });
  after(async () => {
    await db.close();
    await directory.remove();
  });
  const env = () => ({ DATABASE_URL: db.test.url("operator"), MYZEL_DATA_DIR: directory.path });
  const ask = (args: readonly string[]) => myzel(args, { env: env(), cwd: directory.path });
  return {
    get db() {
      return db;
    },
    get directory() {
      return directory.path;
    },
    get env() {
      return env();
    },
    async run(...args) {
      const ran = await ask(args);
      assert.equal(ran.code, 0, ran.stderr);
      return ran.stdout;
    },
    async refused(...args) {
      const ran = await ask(args);
      assert.deepEqual([ran.code, ran.stdout], [2, ""], ran.stderr);
      assert.match(ran.stderr, /^myzel: \S/);
      return ran.stderr;
    },
    rows: async (sql, values = []) => (await db.pool.query(sql, values)).rows,
  };
}
