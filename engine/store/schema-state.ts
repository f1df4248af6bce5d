/**
 * Whether a database is fit for this program: the server's version, the encoding, and how its schema
 * compares with the files of this checkout. Reads only.
 */
import type pg from "pg";
import { SchemaError } from "./schema-error.ts";
import { readSchemaFiles, type SchemaFiles } from "./schema-files.ts";

const OLDEST_SERVER = 15;

/** `sentence` says what to do; null where nothing is to be done. */
export type SchemaState =
  | { readonly state: "current"; readonly sentence: null }
  | { readonly state: "empty" | "older" | "newer" | "foreign"; readonly sentence: string };

/** What the database itself says. */
interface SchemaFacts {
  /** Names of the applied migrations; null where the database has no record of any. */
  readonly applied: readonly string[] | null;
  readonly functions: { readonly hash: string; readonly programVersion: string } | null;
  readonly hasRoles: boolean;
  /** Tables in schema public that belong to no extension. */
  readonly tables: readonly string[];
}

type Queryable = Pick<pg.Pool, "query"> | Pick<pg.Client, "query">;

/**
 * How the database's schema compares with this program. Any of Myzel's roles but the pod's may ask.
 * @throws SchemaError where the server or the database can never do; errors of the connection as they are
 */
export async function checkSchema(db: Queryable, options: { rolePrefix: string }): Promise<SchemaState> {
  await checkServer(db);
  const files = await readSchemaFiles();
  return judgeSchema(await schemaFacts(db, options.rolePrefix), files, options.rolePrefix);
}

/**
 * Refuses a server older than 15, and a database in another encoding than UTF8.
 * @throws SchemaError
 */
export async function checkServer(db: Queryable): Promise<void> {
  const { rows } = await db.query<{ version: string; number: number; encoding: string; name: string }>(
    `select current_setting('server_version') as version, current_setting('server_version_num')::int as number,
            current_setting('server_encoding') as encoding, current_database() as name`,
  );
  const [server] = rows;
  if (server === undefined) throw new SchemaError("the database does not answer like Postgres");
  if (server.number < OLDEST_SERVER * 10_000) {
    throw new SchemaError(
      `this Postgres server is version ${server.version}; Myzel needs ${OLDEST_SERVER} or newer: ` +
        "upgrade it, or leave DATABASE_URL unset to use the embedded one",
    );
  }
  if (server.encoding !== "UTF8") {
    throw new SchemaError(
      `the database ${server.name} has the encoding ${server.encoding}; Myzel needs UTF8: ` +
        "make one with: create database myzel encoding 'UTF8' template template0",
    );
  }
}

/** Gathers the facts in two queries; takes no lock that anybody waits for. */
export async function schemaFacts(db: Queryable, rolePrefix: string): Promise<SchemaFacts> {
  const { rows } = await db.query<{ tables: string[]; has_roles: boolean }>(
    `select
       array(
         select c.relname::text from pg_class c
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
           and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
         order by 1
       ) as tables,
       (select count(*) = 4 from pg_roles where rolname = any ($1::text[])) as has_roles`,
    [["engine", "operator", "reader", "pod"].map((role) => `${rolePrefix}_${role}`)],
  );
  const { tables, has_roles: hasRoles } = rows[0] ?? { tables: [], has_roles: false };
  const migrations = tables.includes("kysely_migration")
    ? await db.query<{ name: string }>("select name from public.kysely_migration order by name")
    : null;
  const functions = tables.includes("schema_functions")
    ? await db.query<{ hash: string; program_version: string }>(
        "select hash, program_version from public.schema_functions",
      )
    : null;
  const [stored] = functions?.rows ?? [];
  return {
    applied: migrations?.rows.map((row) => row.name) ?? null,
    functions: stored === undefined ? null : { hash: stored.hash, programVersion: stored.program_version },
    hasRoles,
    tables,
  };
}

/** Pure: what the facts mean for a program with these files. */
export function judgeSchema(facts: SchemaFacts, files: SchemaFiles, rolePrefix: string): SchemaState {
  const known = files.migrations.map((file) => file.name);
  const applied = facts.applied ?? [];
  const unknown = applied.filter((name) => !known.includes(name));
  const missing = known.filter((name) => !applied.includes(name));

  if (applied.length === 0) return facts.tables.some((name) => !OWN_TABLES.has(name)) ? FOREIGN : EMPTY;
  if (unknown.length === applied.length) return FOREIGN;
  if (unknown.length > 0) return newer(`it has the migration ${unknown.join(", ")}, which this program does not know`);
  if (facts.functions !== null && compareVersions(facts.functions.programVersion, files.programVersion) > 0) {
    return newer(`Myzel ${facts.functions.programVersion} was here, and this is ${files.programVersion}`);
  }
  if (missing.length > 0) return older(`it lacks the migration ${missing.join(", ")}`);
  if (facts.functions?.hash !== files.functionsHash(rolePrefix)) return older("its functions are of another version");
  if (!facts.hasRoles) return older(`the roles ${rolePrefix}_… are missing`);
  return { state: "current", sentence: null };
}

/** Made before the first migration is: they alone do not make a database somebody else's. */
const OWN_TABLES = new Set(["kysely_migration", "kysely_migration_lock", "schema_functions"]);

const EMPTY: SchemaState = { state: "empty", sentence: "the database is empty: run myzel migrate" };

const FOREIGN: SchemaState = {
  state: "foreign",
  sentence:
    "the database holds tables that are not Myzel's: point DATABASE_URL at a database of its own " +
    "(create database myzel)",
};

function older(why: string): SchemaState {
  return { state: "older", sentence: `the database is older than this program (${why}): run myzel migrate` };
}

function newer(why: string): SchemaState {
  return { state: "newer", sentence: `the database is newer than this program (${why}): update myzel` };
}

/**
 * Refuses what migrating would spoil.
 * @throws SchemaError
 */
export function demandUsable(found: SchemaState): void {
  if (found.state === "newer" || found.state === "foreign") throw new SchemaError(found.sentence);
}

function compareVersions(left: string, right: string): number {
  const [a, b] = [left, right].map((text) => text.split(/[.-]/).map(Number)) as [number[], number[]];
  for (let part = 0; part < 3; part++) {
    const difference = (a[part] || 0) - (b[part] || 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
