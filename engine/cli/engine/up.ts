/**
 * `myzel up`: everything on one machine: database, migrations, logins, engine. Ctrl-C ends it in the
 * other order; runs that are under way go on, and the next start takes them over.
 */
import type { Command } from "commander";
import type { Logger } from "pino";
import type { Config } from "../../config.ts";
import { DatabaseError } from "../../embedded-postgres/database-error.ts";
import { startEmbeddedPostgres } from "../../embedded-postgres/embedded-postgres.ts";
import type { EmbeddedPostgres } from "../../embedded-postgres/embedded-postgres.ts";
import { ensureLogins } from "../../embedded-postgres/logins.ts";
import { holdUpLock } from "../../embedded-postgres/up-lock.ts";
import { resolveCredential } from "../../launch/process/claude-credential.ts";
import { createLogger } from "../../logging.ts";
import { openDatabase } from "../../store/connection.ts";
import { credentials } from "../../store/credentials.ts";
import { migrateDatabase } from "../../store/migrate.ts";
import { awaitSchema } from "../database/ready-database.ts";
import { UsageError } from "../failure.ts";
import { addSettings, configOf } from "../settings.ts";
import { stopSignals } from "../stop-signals.ts";
import type { StopSignals } from "../stop-signals.ts";
import { note, say } from "../terminal/output.ts";
import { runDaemon } from "./daemon.ts";
import { howToBegin } from "./how-to-begin.ts";
import { systemProblem } from "./supported-system.ts";

export function define(command: Command): void {
  command
    .addHelpText(
      "after",
      `
Without DATABASE_URL an embedded Postgres is started; its data lies in MYZEL_DATA_DIR. Ctrl-C stops the
engine first and Postgres last; runs that are under way go on, and the next start takes them over.

Examples:
  myzel up --launcher process
  DATABASE_URL=postgresql://owner@db.example.com/myzel myzel up --max-live-runs 4`,
    )
    .action(async () => {
      await up(configOf(command));
    });
  addSettings(command, "all");
}

async function up(config: Config): Promise<void> {
  demandReachableDatabase(config);
  const problem = systemProblem();
  if (problem !== null) note(`Note: ${problem}`);
  const lock = await holdUpLock(config.dataDir).catch(usageError);
  const log = createLogger({ level: config.logLevel, readable: process.stderr.isTTY, descriptor: 2 });
  const stop = stopSignals(() =>
    note("\nStopping; runs that are under way go on, and the next start takes them over. Press again to end at once."),
  );
  try {
    const server =
      config.databaseUrl === undefined ? await startEmbeddedPostgres({ dataDir: config.dataDir, log }) : null;
    try {
      await runWithDatabase({ config, server, log, stop });
    } finally {
      await server?.stop();
      if (server !== null) log.info("embedded Postgres stopped");
    }
  } finally {
    stop.release();
    await lock.release();
  }
}

/** @throws UsageError where runs could not reach the database */
function demandReachableDatabase({ launcher, databaseUrl }: Config): void {
  if (launcher === "process" || databaseUrl !== undefined) return;
  throw new UsageError(
    "Pods cannot reach the embedded Postgres of this machine: set DATABASE_URL to a server that they can reach, or MYZEL_LAUNCHER=process.",
  );
}

interface Parts {
  config: Config;
  /** Null: a server of one's own. */
  server: EmbeddedPostgres | null;
  log: Logger;
  stop: StopSignals;
}

async function runWithDatabase({ config, server, log, stop }: Parts): Promise<void> {
  const adminUrl = server?.adminUrl ?? config.databaseUrl ?? "";
  const { rolePrefix } = config;
  const schema = await awaitSchema({ url: adminUrl, rolePrefix, log, signal: stop.signal });
  if (schema === null) return;
  if (schema.sentence !== null) await migrateDatabase({ url: adminUrl, rolePrefix, log });
  const logins = await loginsFor(config, adminUrl);
  await checkCredentials(config, logins.engine);
  let begun = false;
  await runDaemon({
    config,
    databaseUrl: logins.engine,
    podDatabaseUrl: logins.pod,
    log,
    signal: stop.signal,
    onLead: () => {
      if (!begun) say(howToBegin({ config, operatorUrl: logins.operator, embedded: server !== null }));
      begun = true;
    },
  });
}

/** Where the user of a server of one's own may make no logins, its own serves for all but the pod's. */
async function loginsFor(config: Config, adminUrl: string): Promise<{ engine: string; operator: string; pod: string }> {
  if (config.podDatabaseUrl !== undefined && config.databaseUrl !== undefined) {
    return { engine: adminUrl, operator: adminUrl, pod: config.podDatabaseUrl };
  }
  return await ensureLogins({ adminUrl, rolePrefix: config.rolePrefix, dataDir: config.dataDir });
}

/**
 * With a credential that works, agents would act on this machine: that is started on purpose only.
 * @throws UsageError where the launcher was not chosen
 */
async function checkCredentials(config: Config, url: string): Promise<void> {
  const database = openDatabase({ url, applicationName: "myzel up", max: 1 });
  let rows;
  try {
    rows = await credentials(database);
  } finally {
    await database.close();
  }
  const places = { dataDir: config.dataDir, claudeToken: config.claudeToken, environment: process.env };
  const usable = rows.filter((row) => "claude" in resolveCredential(row, places));
  if (usable.length === 0) {
    note(NO_CREDENTIAL);
    return;
  }
  if (config.launcherChosen) return;
  const isRoot = process.getuid?.() === 0;
  throw new UsageError(
    `There is a Claude login (${usable.map((row) => row.name).join(", ")}), so agents would run as processes of this machine and could do here whatever ` +
      `${isRoot ? "the unprivileged user of their run" : "your user"} can. If that is what you want, say so: myzel up --launcher process (or MYZEL_LAUNCHER=process).`,
  );
}

const NO_CREDENTIAL = `No Claude login was found; tasks wait until there is one:
  claude setup-token     makes a token (it needs a paid plan)
  myzel login            stores it
To see the main job without any account: npm run demo`;

function usageError(error: unknown): never {
  throw error instanceof DatabaseError ? new UsageError(error.message, { cause: error }) : error;
}
