/**
 * Brings a database to the schema of this program: migrations/*.sql in order, each once, then the current
 * text of sql/functions/*.sql, grants last.
 *
 * All of it is one transaction: interrupted half-way, nothing is applied. Migrators of one database wait
 * for one another. Forward only; a database newer than the program is refused, never changed.
 */
import { Kysely, PostgresDialect } from "kysely";
import { Migrator } from "kysely/migration";
import pg from "pg";
import type { Logger } from "pino";
import { checkServer, demandUsable, judgeSchema, schemaFacts } from "./schema-state.ts";
import { installWorkerSchema } from "./worker-schema.ts";
import { readSchemaFiles, type SchemaFiles, type SqlFile } from "./schema-files.ts";
import { SchemaError } from "./schema-error.ts";

/** Any number will do, as long as every version of Myzel uses the same. */
const MIGRATION_LOCK = "7310579342187";

export interface MigrateOptions {
  /** Of a user that owns the database and may create roles. */
  readonly url: string;
  readonly rolePrefix: string;
  readonly log: Pick<Logger, "info">;
  /** Other directories than this program's own, for tests. */
  readonly directories?: { readonly migrations: string; readonly functions: string };
}

/**
 * Migrates; on a current database it changes nothing. Returns the names of the migrations applied.
 * @throws SchemaError with a sentence: server too old, wrong encoding, database newer or not Myzel's, not
 * the owner, a file that failed. Errors of the connection come as they are.
 */
export async function migrateDatabase(options: MigrateOptions): Promise<{ applied: string[] }> {
  const files = await readSchemaFiles(options.directories);
  const client = new pg.Client({ connectionString: options.url, application_name: "myzel migrate" });
  client.on("error", () => {}); // a broken connection is the next statement's error
  await client.connect();
  try {
    await checkServer(client);
    // Held by the session, so it goes with the connection however this ends.
    await client.query("select pg_advisory_lock($1)", [MIGRATION_LOCK]);
    const applied = await inTransaction(client, () => applyFiles(client, { files, rolePrefix: options.rolePrefix }));
    for (const name of applied) options.log.info({ migration: name }, "migration applied");
    await installWorkerSchema({ client, url: options.url, rolePrefix: options.rolePrefix });
    return { applied };
  } finally {
    await client.end();
  }
}

async function inTransaction<T>(client: pg.Client, work: () => Promise<T>): Promise<T> {
  await client.query("begin");
  try {
    const result = await work();
    await client.query("commit");
    return result;
  } catch (error) {
    // Where the connection is gone, so is the transaction.
    await client.query("rollback").catch(() => {});
    throw error;
  }
}

async function applyFiles(client: pg.Client, options: { files: SchemaFiles; rolePrefix: string }): Promise<string[]> {
  const { files, rolePrefix } = options;
  // For the whole session: grants and roles read it, also those of the worker schema.
  await client.query("select set_config('myzel.role_prefix', $1, false)", [rolePrefix]);
  const before = judgeSchema(await schemaFacts(client, rolePrefix), files, rolePrefix);
  demandUsable(before);
  const applied = await applyMigrations(client, files.migrations);
  if (before.state === "current") return applied;
  await applyFunctions(client, { files, rolePrefix });
  return applied;
}

/** Kysely keeps the record of what ran, and its order. */
async function applyMigrations(client: pg.Client, migrations: readonly SqlFile[]): Promise<string[]> {
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool: poolOf(client) }) });
  let failure: unknown = null;
  const provider = {
    getMigrations: async () =>
      Object.fromEntries(
        migrations.map((file) => [
          file.name,
          {
            // Kept here: once the transaction is aborted, Kysely's own clean-up hides what went wrong.
            up: () => applyFile(client, file).catch((error: unknown) => Promise.reject((failure = error))),
          },
        ]),
      ),
  };
  const { error, results } = await new Migrator({ db, provider, disableTransactions: true }).migrateToLatest();
  if (failure !== null || error !== undefined) throw failure ?? error;
  return (results ?? []).map((result) => result.migrationName);
}

/** The one connection, in its open transaction, in the shape Kysely wants. */
function poolOf(client: pg.Client) {
  const connection = { query: client.query.bind(client), release: () => {} };
  return { connect: async () => connection, end: async () => {} } as unknown as pg.Pool;
}

async function applyFunctions(client: pg.Client, options: { files: SchemaFiles; rolePrefix: string }): Promise<void> {
  const { files, rolePrefix } = options;
  // Bodies may call what a later file defines.
  await client.query("set local check_function_bodies = off");
  await client.query(`create table if not exists schema_functions (
    only_row        boolean primary key default true,
    hash            text not null,
    program_version text not null,
    applied_at      timestamptz not null default now(),
    constraint schema_functions_only_row check (only_row)
  )`);
  for (const file of files.functions) await applyFile(client, file);
  await client.query(
    `insert into schema_functions (hash, program_version) values ($1, $2)
     on conflict (only_row) do update
       set hash = excluded.hash, program_version = excluded.program_version, applied_at = now()`,
    [files.functionsHash(rolePrefix), files.programVersion],
  );
}

/** Runs one file whole. A lock that is not had within 5 s fails it, so that it never queues up the world behind it. */
async function applyFile(client: pg.Client, file: SqlFile): Promise<void> {
  await client.query("select set_config('lock_timeout', '5s', true)");
  try {
    await client.query(file.text);
  } catch (cause) {
    if (!(cause instanceof pg.DatabaseError)) throw cause;
    throw new SchemaError(`${file.path} failed, nothing was changed: ${describe(cause, file.text)}`, { cause });
  }
}

function describe(error: pg.DatabaseError, text: string): string {
  if (error.code === "55P03") return "a table is locked by another session for more than 5 s; try again";
  if (error.code === "42501") {
    return `${error.message}; the migrating user must own the database and may need the attribute CREATEROLE`;
  }
  const line = error.position === undefined ? null : text.slice(0, Number(error.position)).split("\n").length;
  return line === null ? error.message : `${error.message} (line ${line})`;
}
