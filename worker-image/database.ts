/**
 * The calls that a run may make of the database, each with the run's own token.
 *
 * Every call has a connection of its own, so that a server that was restarted in between is no matter.
 * A server that cannot be reached is waited for; everything else is said at once. Nothing of the
 * address ever gets into an error.
 */
import { Client, DatabaseError } from "pg";
import type { Brief, FinishEpic, OutboxTask, Report } from "./contract.ts";
import { withPatience } from "./patience.ts";
import type { EndedEpic } from "./plan/ended-sections.ts";
import type { KeptWork } from "./work/keep-work.ts";

/** How long an unreachable database is waited for. */
export const DATABASE_PATIENCE_MS = 60_000;

const CONNECT_TIMEOUT_MS = 10_000;
const CALL_TIMEOUT_MS = 60_000;

/** SQLSTATE of these functions for a token that is not accepted. */
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
  /** Of these epics those that ended so long ago that the plan need not hold them any more. */
  endedEpics(ids: string[]): Promise<EndedEpic[]>;
  /** The same brief, once the run was told to stop. */
  loadStoppedBrief(): Promise<Brief>;
  /** Keeps what is not pushed, before the report; replaces what this run stored before. Works while the run is being stopped. */
  storeWork(work: KeptWork): Promise<void>;
  /** What the brief's `continues` names; null where it is gone. */
  loadWork(): Promise<LoadedWork | null>;
}

/** What an earlier attempt left, as it is stored. */
export interface LoadedWork {
  work: KeptWork;
  /** What it had put into its outbox, which came to nothing. */
  tasks: OutboxTask[];
  finish_epic: FinishEpic | null;
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
    async endedEpics(ids) {
      const text = "select id, plan_commit from ended_epics($1, $2, $3, $4::uuid[])";
      return (await call(settings, text, [runId, token, boundTo, ids])) as EndedEpic[];
    },
    async loadStoppedBrief() {
      const rows = await call(settings, "select load_stopped_brief($1, $2, $3) as brief", [runId, token, boundTo]);
      return (rows[0] as { brief: Brief }).brief;
    },
    async storeWork({ commits, session }) {
      const text = "select store_work($1, $2, $3, $4, $5, $6, $7, $8, $9)";
      const bundled = [commits?.branch, commits?.base_sha, commits?.head_sha, commits?.bundle];
      const values = [runId, token, boundTo, ...bundled, session?.session_id, session?.content];
      await call(settings, text, values);
    },
    async loadWork() {
      const rows = await call(settings, "select * from load_work($1, $2, $3)", [runId, token, boundTo]);
      return rows[0] === undefined ? null : loadedWork(rows[0] as WorkRow);
    },
  };
}

interface WorkRow {
  branch: string | null;
  head_sha: string | null;
  bundle: Buffer | null;
  session_id: string | null;
  session: Buffer | null;
  tasks: OutboxTask[];
  finish_epic: FinishEpic | null;
}

function loadedWork({ branch, head_sha, bundle, session_id, session, tasks, finish_epic }: WorkRow): LoadedWork {
  const hasCommits = branch !== null && head_sha !== null && bundle !== null;
  const commits = hasCommits ? { branch, base_sha: null, head_sha, bundle } : null;
  const kept = session_id === null || session === null ? null : { session_id, content: session };
  return { work: { commits, session: kept }, tasks, finish_epic };
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
