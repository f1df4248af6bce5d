/** The files that follow from the migrations, as they should be: the schema dump and the types of the tables. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { testDatabase } from "../test/support/postgres.ts";
import { dumpSchema } from "./dump-schema.ts";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "..");

export interface GeneratedFile {
  /** From the root of the checkout. */
  readonly path: string;
  readonly text: string;
}

/** Generates them from a freshly migrated embedded database; writes nothing in the checkout. */
export async function generateFiles(): Promise<GeneratedFile[]> {
  const database = await testDatabase();
  try {
    return [
      { path: "sql/schema.sql", text: await dumpSchema(database.pool, { rolePrefix: database.rolePrefix }) },
      { path: "engine/store/database.ts", text: await tableTypes(database.adminUrl) },
    ];
  } finally {
    await database.close();
  }
}

async function tableTypes(url: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "myzel-types-"));
  const file = join(directory, "database.ts");
  const args = [
    "--dialect=postgres",
    "--url=env(DATABASE_URL)",
    "--default-schema=public",
    "--exclude-pattern=public.(kysely_*|schema_functions)",
    "--include-pattern=public.*",
    "--numeric-parser=number",
    // Counters stay far below 2^53; intervals are read as text.
    '--type-mapping={"int8":"number","interval":"string"}',
    `--out-file=${file}`,
  ];
  try {
    await run(process.execPath, [join(ROOT, "node_modules", "kysely-codegen", "dist", "cli", "bin.js"), ...args], {
      cwd: ROOT,
      env: { ...process.env, DATABASE_URL: url },
    });
    const format = join(ROOT, "node_modules", "oxfmt", "bin", "oxfmt");
    await run(process.execPath, [format, `--config=${join(ROOT, ".oxfmtrc.json")}`, file], { cwd: directory });
    return await readFile(file, "utf8");
  } finally {
    await rm(directory, { recursive: true });
  }
}
