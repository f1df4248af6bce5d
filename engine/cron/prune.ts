/**
 * A round of pruning: batch after batch until nothing more is to go, its time is over, or it is told to stop.
 *
 * Between batches it rests, so that it takes a bounded share of the database's time; what it does not get
 * to is left for the next round. Nothing is remembered between rounds.
 */
import { setTimeout as delay } from "node:timers/promises";
import { pruneBatch, pruneLimits } from "../store/prune.ts";
import type { KeepLimits, Prunable } from "../store/prune.ts";
import type { Database } from "../store/connection.ts";

/** Rows a batch looks at: some ten milliseconds of work, and less where transcripts are big. */
const BATCH = { transcripts: 200, runs: 200, events: 1_000 } as const satisfies Record<Prunable, number>;

/** Runs last: they take what belongs to them along, uncounted. */
export const EVERYTHING: readonly Prunable[] = ["transcripts", "events", "runs"];

export interface PruneRound {
  what: readonly Prunable[];
  keep: KeepLimits;
  signal: AbortSignal;
  /** Counts what would go. */
  dryRun?: boolean;
  /** Rests so many times as long as the batch before took; default 0. */
  restFactor?: number;
  /** Ends the round after this. */
  maxMs?: number;
}

/** How many rows of each kind; what went along with its run is not counted. */
export interface Pruned extends Record<Prunable, number> {
  /** As stored (compressed). */
  transcript_bytes: number;
  /** False where the time was over, it was stopped, or a table was locked: more may be left. */
  complete: boolean;
}

/** Prunes by these limits. Any number of rounds may go on at once. @throws DatabaseUnreachableError, RefusedError */
export async function prune(database: Database, round: PruneRound): Promise<Pruned> {
  const total: Pruned = { transcripts: 0, transcript_bytes: 0, events: 0, runs: 0, complete: true };
  const deadline = performance.now() + (round.maxMs ?? Infinity);
  const limits = await pruneLimits(database, round.keep);
  for (const what of round.what) {
    const before = limits[what];
    let after: unknown = null;
    while (before !== null) {
      if (round.signal.aborted || performance.now() > deadline) return { ...total, complete: false };
      const begin = performance.now();
      const options = { before, after, limit: BATCH[what], dryRun: round.dryRun ?? false };
      const batch = await pruneBatch(database, what, options);
      if (batch === null) return { ...total, complete: false };
      total[what] += batch.pruned;
      total.transcript_bytes += batch.bytes;
      if (batch.next_after === null) break;
      after = batch.next_after;
      await rest((performance.now() - begin) * (round.restFactor ?? 0), round.signal);
    }
  }
  return total;
}

async function rest(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await delay(ms, undefined, { signal }).catch(() => undefined);
}
