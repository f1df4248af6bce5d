/** `myzel engine`: the daemon alone, as in a container. Changes no schema and starts no database. */
import type { Command } from "commander";
import type { Config } from "../../config.ts";
import { findLogin } from "../../embedded-postgres/find-database.ts";
import { createHealth, type Health } from "../../health.ts";
import { type Probes, serveProbes } from "../../http/probes.ts";
import { createLogger } from "../../logging.ts";
import { awaitSchema } from "../database/ready-database.ts";
import { UsageError } from "../failure.ts";
import { addSettings, configOf } from "../settings.ts";
import { stopSignals } from "../stop-signals.ts";
import { runDaemon } from "./daemon.ts";

export function define(command: Command): void {
  command
    .addHelpText(
      "after",
      `
Any number of engines may run on one database: one leads, the others stand by. SIGTERM or Ctrl-C stop it;
runs go on, and the next engine takes them over.

Examples:
  DATABASE_URL=postgresql://engine@db.example.com/myzel myzel engine
  myzel engine --max-live-runs 4 --log-level debug`,
    )
    .action(async () => {
      await runUntilStopped(configOf(command));
    });
  addSettings(command, "all");
}

async function runUntilStopped(config: Config): Promise<void> {
  const databaseUrl = await findLogin(config, "engine");
  const podDatabaseUrl = await demandPodLogin(config);
  const log = createLogger({ level: config.logLevel, readable: process.stdout.isTTY });
  const stop = stopSignals((name) => log.info({ signal: name }, "stopping; runs go on"));
  const health = createHealth(() => performance.now());
  const probes = await openProbes(config.httpPort, health);
  try {
    const schema = await awaitSchema({ url: databaseUrl, rolePrefix: config.rolePrefix, log, signal: stop.signal });
    if (schema === null) return;
    if (schema.sentence !== null) throw new UsageError(schema.sentence);
    await runDaemon({ config, databaseUrl, podDatabaseUrl, log, signal: stop.signal, health });
  } finally {
    await probes?.close();
    stop.release();
  }
}

/** Before the database is waited for: a kubelet would take the engine for dead. @throws UsageError */
async function openProbes(port: number | undefined, health: Health): Promise<Probes | null> {
  if (port === undefined) return null;
  try {
    return await serveProbes({ port, health });
  } catch (cause) {
    throw new UsageError(`MYZEL_HTTP_PORT: port ${port} cannot be served (${(cause as Error).message}).`, { cause });
  }
}

/** Never the engine's own login: what runs agents must not hold it. */
async function demandPodLogin(config: Config): Promise<string> {
  if (config.podDatabaseUrl !== undefined) return config.podDatabaseUrl;
  const url = await findLogin(config, "pod");
  if (url !== config.databaseUrl) return url;
  throw new UsageError(
    `How do runs reach the database? Set MYZEL_POD_DATABASE_URL to a login in the role ${config.rolePrefix}_pod, or run myzel up once, which makes one.`,
  );
}
