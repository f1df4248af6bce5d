/**
 * The one server of a benchmark: durable, embedded, on a directory of its own. Every cell gets a database
 * of its own, cloned from a template that its contestant prepared once, and dropped afterwards, so that no
 * cell pays for the dead rows of another.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { pino } from "pino";
import { startEmbeddedPostgres } from "../../engine/embedded-postgres/embedded-postgres.ts";

/** Checkpoints at times of their own would fall on one contestant and not on the other: each cell begins with one. */
const SETTINGS = {
  shared_buffers: "1GB",
  max_wal_size: "16GB",
  checkpoint_timeout: "1h",
  shared_preload_libraries: "pg_stat_statements",
  // Only cells that are profiled pay for it.
  "pg_stat_statements.track": "none",
};

export interface BenchServer {
  readonly dataDir: string;
  /** The superuser's URL of the database `postgres`. */
  readonly adminUrl: string;
  /** Makes the template `name` once: an empty database that `prepare` fills. */
  template(name: string, prepare: (url: string) => Promise<void>): Promise<void>;
  /** The superuser's URL of a fresh copy of the template. */
  clone(template: string): Promise<string>;
  drop(url: string): Promise<void>;
  /** Such as `18.4`. */
  version(): Promise<string>;
  stop(): Promise<void>;
}

/** Starts the server; `stop` ends it and removes its files. */
export async function startBenchServer(): Promise<BenchServer> {
  const dataDir = await mkdtemp(join(tmpdir(), "myzel-bench-"));
  const server = await startEmbeddedPostgres({ dataDir, log: pino({ level: "silent" }), settings: SETTINGS });
  const adminUrl = withDatabase(server.adminUrl, "postgres");
  const templates = new Set<string>();
  let clones = 0;
  return {
    dataDir,
    adminUrl,
    template: async (name, prepare) => {
      if (templates.has(name)) return;
      await asAdmin(adminUrl, (admin) =>
        admin.query(`create database bench_${name} template template0 encoding 'UTF8'`),
      );
      await prepare(withDatabase(adminUrl, `bench_${name}`));
      templates.add(name);
    },
    clone: async (template) => {
      const name = `bench_${template}_${++clones}`;
      await asAdmin(adminUrl, (admin) => admin.query(`create database ${name} template bench_${template}`));
      return withDatabase(adminUrl, name);
    },
    drop: (url) => asAdmin(adminUrl, (admin) => admin.query(`drop database ${databaseOf(url)} with (force)`)),
    version: async () => {
      let version = "";
      await asAdmin(adminUrl, async (admin) => {
        version = (await admin.query("show server_version")).rows[0].server_version;
      });
      return version;
    },
    stop: async () => {
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** `url` with the user and password of `login`. */
export function asLogin(url: string, login: string): string {
  const changed = new URL(login);
  changed.pathname = new URL(url).pathname;
  return changed.href;
}

function withDatabase(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}

function databaseOf(url: string): string {
  return new URL(url).pathname.slice(1);
}

/** Runs `work` on a connection of its own. */
export async function asAdmin(url: string, work: (admin: pg.Client) => Promise<unknown>): Promise<void> {
  const admin = new pg.Client({ connectionString: url });
  admin.on("error", () => {}); // a broken connection is the next statement's error
  await admin.connect();
  try {
    await work(admin);
  } finally {
    await admin.end();
  }
}
