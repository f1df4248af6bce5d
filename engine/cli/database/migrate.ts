/** `myzel migrate`: brings the database to the schema of this program. */
import type { Command } from "commander";
import type { Config } from "../../config.ts";
import { findDatabase } from "../../embedded-postgres/find-database.ts";
import { createLogger } from "../../logging.ts";
import { DatabaseUnreachableError } from "../../store/errors.ts";
import { migrateDatabase } from "../../store/migrate.ts";
import { pendingMigrations } from "../../store/pending-migrations.ts";
import { addSettings, CONNECTION, configOf } from "../settings.ts";
import { say, sayJson } from "../terminal/output.ts";

export function define(command: Command): void {
  command
    .option("--dry-run", "list what would be applied, change nothing")
    .option("--json", "one object: applied, or pending with --dry-run")
    .addHelpText(
      "after",
      `
DATABASE_URL must name a user that owns the database and may create roles. Without it the embedded
database is migrated, which myzel up does by itself.

Examples:
  DATABASE_URL=postgresql://owner@db.example.com/myzel myzel migrate
  myzel migrate --dry-run`,
    )
    .action(async (options: { dryRun?: boolean; json?: boolean }) => {
      const config = configOf(command);
      if (options.dryRun === true) return await listPending(config, options.json === true);
      const applied = await withOwner(config, (url) => applyTo(url, config));
      if (options.json === true) sayJson({ applied });
      else if (applied.length === 0) say("The database is current; no migration was pending.");
      else say(`Applied: ${applied.join(", ")}`);
    });
  addSettings(command, [...CONNECTION, "MYZEL_ROLE_PREFIX"]);
}

async function applyTo(url: string, config: Config): Promise<string[]> {
  const log = createLogger({ level: "silent", readable: true });
  return (await migrateDatabase({ url, rolePrefix: config.rolePrefix, log })).applied;
}

async function listPending(config: Config, json: boolean): Promise<void> {
  const { migrations, sentence } = await pending(config);
  if (json) sayJson({ pending: migrations });
  else if (sentence === null) say("The database is current.");
  else say([sentence, ...migrations].join("\n  "));
}

/** An embedded server that rests is started for the look. */
async function pending(config: Config): ReturnType<typeof pendingMigrations> {
  const { rolePrefix } = config;
  try {
    return await pendingMigrations({ url: await findDatabase(config), rolePrefix });
  } catch (error) {
    if (!(error instanceof DatabaseUnreachableError) || config.databaseUrl !== undefined) throw error;
    return await withOwner(config, (url) => pendingMigrations({ url, rolePrefix }));
  }
}

/** The URL of the database's owner: the one given, or that of the embedded server, started for it where it rests. */
async function withOwner<T>(config: Config, work: (url: string) => Promise<T>): Promise<T> {
  if (config.databaseUrl !== undefined) return await work(config.databaseUrl);
  const { holdUpLock } = await import("../../embedded-postgres/up-lock.ts");
  const { startEmbeddedPostgres } = await import("../../embedded-postgres/embedded-postgres.ts");
  const lock = await holdUpLock(config.dataDir);
  try {
    const server = await startEmbeddedPostgres({
      dataDir: config.dataDir,
      log: createLogger({ level: "silent", readable: true }),
    });
    try {
      return await work(server.adminUrl);
    } finally {
      if (!server.adopted) await server.stop();
    }
  } finally {
    await lock.release();
  }
}
