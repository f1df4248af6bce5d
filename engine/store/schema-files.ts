/** The SQL files that make up the schema, as they lie in the checkout. Read only. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";

const ROOT = join(import.meta.dirname, "..", "..");

/** Applied after all others: it grants on everything that exists by then. */
const LAST = "grants";

export interface SqlFile {
  /** File name without `.sql`; for a migration, what the database remembers of it. */
  readonly name: string;
  /** As shown to people. */
  readonly path: string;
  readonly text: string;
}

export interface SchemaFiles {
  /** In the order in which they run, ascending. */
  readonly migrations: readonly SqlFile[];
  /** In the order in which they run: by name, grants last. */
  readonly functions: readonly SqlFile[];
  /** Version of this program, from package.json. */
  readonly programVersion: string;
  /** Changes with any text in `functions`, and with the prefix that the grants are made for. */
  functionsHash(rolePrefix: string): string;
}

/**
 * Reads all of them.
 * @throws Error where a migration is not named `0001_like_this.sql`, or a directory cannot be read
 */
export async function readSchemaFiles(
  directories: { readonly migrations: string; readonly functions: string } = {
    migrations: join(ROOT, "migrations"),
    functions: join(ROOT, "sql", "functions"),
  },
): Promise<SchemaFiles> {
  const [migrations, functions, manifest] = await Promise.all([
    readSql(directories.migrations),
    readSql(directories.functions),
    readFile(join(ROOT, "package.json"), "utf8"),
  ]);
  for (const { name, path } of migrations) {
    if (!/^\d{4}_[a-z0-9_]+$/.test(name)) throw new Error(`${path}: a migration is named like 0001_what_it_does.sql`);
  }
  const ordered = [
    ...functions.filter((file) => file.name !== LAST),
    ...functions.filter((file) => file.name === LAST),
  ];
  return {
    migrations,
    functions: ordered,
    programVersion: (JSON.parse(manifest) as { version: string }).version,
    functionsHash: (rolePrefix) => hash([rolePrefix, ...ordered.flatMap((file) => [file.name, file.text])]),
  };
}

async function readSql(directory: string): Promise<SqlFile[]> {
  // By code unit, not by locale: the order must be the same on every machine.
  const names = (await readdir(directory)).filter((name) => name.endsWith(".sql")).toSorted();
  return Promise.all(
    names.map(async (name) => ({
      name: name.slice(0, -".sql".length),
      path: relative(ROOT, join(directory, name)),
      text: await readFile(join(directory, name), "utf8"),
    })),
  );
}

function hash(texts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(texts)).digest("hex");
}
