/**
 * Connections. The only file that makes them; the rest of store/ gets a `Database`.
 *
 * Every session has an application name, so that people see in pg_stat_activity who is who and a
 * successor can terminate all sessions of a silent engine.
 */
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import type { DB } from "./database.ts";
import { typedError } from "./errors.ts";

const BIGINT_OID = 20;
const NUMERIC_OID = 1700;

/** Our counts and costs are far below 2^53: plain numbers are safe and what JSON wants. */
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: "text" | "binary") =>
    oid === BIGINT_OID || oid === NUMERIC_OID
      ? Number
      : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
};

export interface ConnectionOptions {
  url: string;
  applicationName: string;
  /** Most connections at a time. */
  max: number;
  /** Gives up connecting after this; default 10 s. */
  connectTimeoutMs?: number;
  /** A statement that takes longer fails, here and on the server; 0: none. Default 60 s. */
  statementTimeoutMs?: number;
  /** Called when an idle connection is lost. */
  onLost?: (error: Error) => void;
}

export interface Database {
  db: Kysely<DB>;
  pool: pg.Pool;
  close(): Promise<void>;
}

function clientConfig(options: ConnectionOptions): pg.ClientConfig {
  const statementTimeoutMs = options.statementTimeoutMs ?? 60_000;
  return {
    connectionString: options.url,
    application_name: options.applicationName,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 10_000,
    keepAlive: true,
    types,
    ...(statementTimeoutMs > 0
      ? { statement_timeout: statementTimeoutMs, query_timeout: statementTimeoutMs + 5_000 }
      : {}),
  };
}

/** A pool and Kysely on it. Nothing is connected yet. */
export function openDatabase(options: ConnectionOptions): Database {
  const pool = new pg.Pool({ ...clientConfig(options), max: options.max });
  // A connection that is lost fails its query, or is made anew by the next one.
  pool.on("error", (error) => options.onLost?.(error));
  pool.on("connect", (client) => client.on("error", () => undefined));
  const db = new Kysely<DB>({ dialect: new PostgresDialect({ pool }) });
  const close = async (): Promise<void> => {
    await db.destroy();
    if (!pool.ended) await pool.end(); // Kysely ends only a pool that it has used
  };
  return { db, pool, close };
}

/** One session of its own, connected: for session locks and LISTEN. */
export async function openSession(options: ConnectionOptions): Promise<pg.Client> {
  const client = new pg.Client(clientConfig(options));
  client.on("error", (error) => options.onLost?.(error));
  try {
    await client.connect();
  } catch (error) {
    throw typedError(error);
  }
  return client;
}

/** Runs `query`; what the database answers comes as the classes of errors.ts. */
export async function asking<T>(query: Promise<T>): Promise<T> {
  try {
    return await query;
  } catch (error) {
    throw typedError(error);
  }
}
