/**
 * A server of its own for a day in time lapse: what autovacuum does in a day it must do in a minute. So it looks every
 * second instead of every minute, and does not pause between pages; what makes it begin is the schema's own.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { startEmbeddedPostgres } from "../../engine/embedded-postgres/embedded-postgres.ts";
import { ensureLogins } from "../../engine/embedded-postgres/logins.ts";
import type { Logins } from "../../engine/embedded-postgres/logins.ts";
import { migrateDatabase } from "../../engine/store/migrate.ts";

const SETTINGS = {
  autovacuum_naptime: "1s",
  autovacuum_vacuum_cost_delay: "0",
  fsync: "off",
  synchronous_commit: "off",
};
const ROLE_PREFIX = "myzel";
const QUIET = { info: () => undefined, warn: () => undefined };

export interface DayServer {
  /** A migrated database. */
  readonly database: DayDatabase;
  /** A copy of it as it is now; nobody may be connected to it. */
  copy(name: string): Promise<DayDatabase>;
  stop(): Promise<void>;
}

export interface DayDatabase {
  readonly adminUrl: string;
  readonly logins: Logins;
}

/** The caller stops it; its files go then. */
export async function startDayServer(): Promise<DayServer> {
  const dataDir = await mkdtemp(join(tmpdir(), "myzel-long-life-"));
  const server = await startEmbeddedPostgres({ dataDir, log: QUIET, settings: SETTINGS, durable: false });
  const stop = async (): Promise<void> => {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  };
  try {
    await migrateDatabase({ url: server.adminUrl, rolePrefix: ROLE_PREFIX, log: QUIET });
    const logins = await ensureLogins({ adminUrl: server.adminUrl, rolePrefix: ROLE_PREFIX, dataDir });
    const named = (url: string, name: string) => Object.assign(new URL(url), { pathname: `/${name}` }).href;
    await asAdmin(server.adminUrl, (admin) => admin.query("create extension pgstattuple"));
    return {
      database: { adminUrl: server.adminUrl, logins },
      stop,
      copy: async (name) => {
        const source = new URL(server.adminUrl).pathname.slice(1);
        await asAdmin(named(server.adminUrl, "postgres"), (admin) =>
          admin.query(`create database ${name} template ${source}`),
        );
        return {
          adminUrl: named(server.adminUrl, name),
          logins: {
            engine: named(logins.engine, name),
            operator: named(logins.operator, name),
            reader: named(logins.reader, name),
            pod: named(logins.pod, name),
          },
        };
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function asAdmin(url: string, work: (admin: pg.Client) => Promise<unknown>): Promise<void> {
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  try {
    await work(admin);
  } finally {
    await admin.end();
  }
}
