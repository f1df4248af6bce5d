/** Pruning: calls of sql/functions/prune.sql. What may go is decided there; nothing here waits for a lock. */
import { sql } from "kysely";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";

/** What is pruned, each in batches of its own; runs take their transcripts and audit rows with them, uncounted. */
export type Prunable = "transcripts" | "runs" | "events";

/** How much is kept. Both limits of a kind hold at once; undefined: no such limit. */
export interface KeepLimits {
  /** Age at which transcripts go. */
  keepTranscriptsMs?: number | undefined;
  /** Most bytes of transcripts, as stored (compressed). */
  maxTranscriptBytes?: number | undefined;
  /** Age at which runs and audit rows go. */
  keepRunsMs?: number | undefined;
  /** Most runs that have ended. */
  maxRuns?: number | undefined;
}

/** The time before which each kind goes, in the database's own words; null: nothing of it goes. */
export type PruneLimits = Readonly<Record<Prunable, string | null>>;

export interface PrunedBatch {
  pruned: number;
  /** Of transcripts, as stored (compressed). */
  bytes: number;
  /** Where the next batch begins; null at the end. Its content means something to the database only. */
  next_after: unknown;
}

/** Turns ages and sizes into times, by the database's clock. Reads no more rows than the size limits let be kept. */
export async function pruneLimits(database: Database, keep: KeepLimits): Promise<PruneLimits> {
  const ago = (ms: number | undefined) => (ms === undefined ? null : Math.min(ms / 1000, LONGEST_SECONDS));
  const result = await asking(
    sql<PruneLimits>`
      select
        greatest(
          myzel_now() - make_interval(secs => ${ago(keep.keepTranscriptsMs)}),
          transcripts_fit_since(${keep.maxTranscriptBytes ?? null}))::text as transcripts,
        greatest(
          myzel_now() - make_interval(secs => ${ago(keep.keepRunsMs)}),
          runs_fit_since(${keep.maxRuns ?? null}))::text as runs,
        (myzel_now() - make_interval(secs => ${ago(keep.keepRunsMs)}))::text as events`.execute(database.db),
  );
  const [limits] = result.rows;
  if (limits === undefined) throw new Error("no row came back for the limits of pruning");
  return limits;
}

export interface PruneBatchOptions {
  /** What is older goes; of `pruneLimits`. */
  before: string;
  /** Rows to look at. */
  limit: number;
  /** `next_after` of the batch before; null for the first one. */
  after: unknown;
  /** Counts only. */
  dryRun: boolean;
}

/** Prunes the next batch in one short transaction. Null where another session keeps a whole table locked. */
export async function pruneBatch(
  database: Database,
  what: Prunable,
  { before, limit, after, dryRun }: PruneBatchOptions,
): Promise<PrunedBatch | null> {
  const call = sql`(${before}, ${limit}, ${after === null ? null : JSON.stringify(after)}::jsonb, ${dryRun})`;
  const functions = {
    transcripts: sql<PrunedBatch>`select * from prune_transcripts${call}`,
    runs: sql<PrunedBatch>`select * from prune_runs${call}`,
    events: sql<PrunedBatch>`select * from prune_events${call}`,
  };
  try {
    const [batch] = (await asking(functions[what].execute(database.db))).rows;
    if (batch === undefined) throw new Error(`no row came back for a batch of ${what}`);
    return batch;
  } catch (error) {
    if ((error as { code?: string }).code === LOCK_NOT_AVAILABLE) return null;
    throw error;
  }
}

const LOCK_NOT_AVAILABLE = "55P03";
/** A thousand years: what is older than a timestamp can be would be an error. */
const LONGEST_SECONDS = 1_000 * 365 * 86_400;
