/** The Postgres server of a fault run: a real embedded one of its own that can be restarted in immediate mode. */
import { setTimeout as delay } from "node:timers/promises";
import { startEmbeddedPostgres } from "../../engine/embedded-postgres/embedded-postgres.ts";
import { ensureLogins } from "../../engine/embedded-postgres/logins.ts";
import type { Logins } from "../../engine/embedded-postgres/logins.ts";
import { migrateDatabase } from "../../engine/store/migrate.ts";

export interface DatabaseServer {
  readonly logins: Logins;
  readonly adminUrl: string;
  port(): number;
  /** Ends the server as a crash does, and starts it again; returns once it answers. */
  restartImmediately(): Promise<void>;
  stop(): Promise<void>;
}

/** Few connections, so that they can be used up. No fsync: the machine does not crash, only the server does. */
const SETTINGS = { max_connections: "70", fsync: "off" };
const ROLE_PREFIX = "myzel";

export async function startDatabaseServer(dataDir: string): Promise<DatabaseServer> {
  const log = { info: () => undefined, warn: () => undefined };
  const start = () => startEmbeddedPostgres({ dataDir, log, settings: SETTINGS, durable: false });
  let server = await start();
  await migrateDatabase({ url: server.adminUrl, rolePrefix: ROLE_PREFIX, log });
  const logins = await ensureLogins({ adminUrl: server.adminUrl, rolePrefix: ROLE_PREFIX, dataDir });
  return {
    logins,
    adminUrl: server.adminUrl,
    port: () => server.port,
    restartImmediately: async () => {
      const { pid, port } = server;
      process.kill(pid, "SIGQUIT");
      while (isAlive(pid)) await delay(10);
      server = await start();
      if (server.port !== port) throw new Error("the server came back on another port");
    },
    stop: () => server.stop(),
  };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The same login through a proxy. */
export function through(url: string, port: number): string {
  const changed = new URL(url);
  changed.port = String(port);
  return changed.href;
}
