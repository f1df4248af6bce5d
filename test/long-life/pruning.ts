/** Pruning beside the traffic, as the engine's recurring work does it, but round after round. */
import { setTimeout as delay } from "node:timers/promises";
import { prune } from "../../engine/cron/prune.ts";
import type { Database } from "../../engine/store/connection.ts";
import type { Prunable } from "../../engine/store/prune.ts";

const KEPT_TRANSCRIPT_BYTES = 30_000;
const BETWEEN_MS = 100;

/** Prunes until it is stopped; what went wrong is thrown then. @param keptMs how old runs and audit rows get */
export function pruneBeside(engine: Database, keptMs: () => number): () => Promise<void> {
  const stop = new AbortController();
  const { signal } = stop;
  const goOn = async (what: readonly Prunable[]): Promise<void> => {
    while (!signal.aborted) {
      const keep = { keepRunsMs: keptMs(), maxTranscriptBytes: KEPT_TRANSCRIPT_BYTES };
      await prune(engine, { what, keep, signal, restFactor: 4 });
      await delay(BETWEEN_MS, undefined, { signal }).catch(() => undefined);
    }
  };
  const pruning = Promise.all([goOn(["transcripts", "events"]), goOn(["runs"])]);
  pruning.catch(() => undefined);
  return async () => {
    stop.abort();
    await pruning;
  };
}
