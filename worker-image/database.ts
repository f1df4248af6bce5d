/**
 * The three calls that a run may make of the database, each with the run's own token.
 *
 * Every call has a connection of its own, so that a server that was restarted in between is no matter.
 * A server that cannot be reached is waited for; everything else is said at once. Nothing of the
 * address ever gets into an error.
 */
import { Client, DatabaseError } from "pg";
import type { Brief, Report } from "./contract.ts";
import { withPatience } from "./patience.ts";

/** How long an unreachable database is waited for. */
export const DATABASE_PATIENCE_MS = 60_000;

const CONNECT_TIMEOUT_MS = 10_000;
const CALL_TIMEOUT_MS = 60_000;

/** SQLSTATE of the three functions for a token that is not accepted. */
const FENCED = "MZ003";

/** Classes of SQLSTATE that pass by themselves: connection, resources, operator intervention. */
const PASSING = /^(08|53|57P)/;

/** The run is over, or belongs to another pod: nothing was done, nothing may be done. */
export class Fenced extends Error {
  override readonly name = "Fenced";
}

/** The database could not be reached within the patience. */
export class DatabaseUnreachable extends Error {
  override readonly name = "DatabaseUnreachable";
}

/** The database answered with a refusal that waiting does not mend. */
export class DatabaseRefused extends Error {
  override readonly name = "DatabaseRefused";
}

export interface PodDatabase {
  /** The brief; the first call binds the run to this pod. */
  loadBrief(): Promise<Brief>;
  /** Keeps the agent's stream (gzip of JSON lines); replaces what this run stored before. `rawBytes`: before the compression. */
  storeTranscript(transcript: { content: Buffer; rawBytes: number; truncated: boolean }): Promise<void>;
  /** Announces what is about to be pushed, or, `final`, leaves the report that the engine settles from. */
  writeReport(report: Report, options: { final: boolean }): Promise<void>;
}

export interface PodDatabaseSettings {
  url: string;
  runId: string;
  token: string;
  boundTo: string;
  signal: AbortSignal;
  patienceMs: number;
}

/** The calls; each throws Fenced, DatabaseUnreachable or DatabaseRefused. */
export function podDatabase(settings: PodDatabaseSettings): PodDatabase {
  const { runId, token, boundTo } = settings;
  return {
    async loadBrief() {
      const rows = await call(settings, "select load_brief($1, $2, $3) as brief", [runId, token, boundTo]);
      return (rows[0] as { brief: Brief }).brief;
    },
    async storeTranscript({ content, rawBytes, truncated }) {
      const text = "select store_transcript($1, $2, $3, $4, $5, $6)";
      await call(settings, text, [runId, token, boundTo, content, rawBytes, truncated]);
    },
    async writeReport(report, { final }) {
      const text = "select write_report($1, $2, $3, $4::jsonb, $5)";
      await call(settings, text, [runId, token, boundTo, JSON.stringify(report), final]);
    },
  };
}

async function call(settings: PodDatabaseSettings, text: string, values: unknown[]): Promise<unknown[]> {
  const mayPass = (error: unknown): boolean => error instanceof DatabaseUnreachable;
  return withPatience({ limitMs: settings.patienceMs, signal: settings.signal, mayPass }, async () => {
    try {
      return await callOnce(settings.url, text, values);
    } catch (error) {
      throw named(error);
    }
  });
}

async function callOnce(url: string, text: string, values: unknown[]): Promise<unknown[]> {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: CALL_TIMEOUT_MS,
    application_name: "myzel run",
  });
  // A connection that breaks between two answers says so here; the call fails by itself.
  client.on("error", () => {});
  try {
    await client.connect();
    return (await client.query(text, values)).rows;
  } finally {
    await client.end().catch(() => {});
  }
}

function named(error: unknown): Error {
  if (!(error instanceof DatabaseError) || error.code === undefined) {
    const why = (error as NodeJS.ErrnoException).code ?? "no answer";
    return new DatabaseUnreachable(`The database cannot be reached (${why}).`);
  }
  if (error.code === FENCED) return new Fenced("This run is over, or belongs to another pod: nothing was done.");
  if (PASSING.test(error.code)) return new DatabaseUnreachable(`The database cannot be reached (${error.code}).`);
  return new DatabaseRefused(`The database refused the call (${error.code}: ${error.message}).`);
}
