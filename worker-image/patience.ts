/** Trying again what failed for now, with growing pauses, within a limit. */
import { setTimeout as delay } from "node:timers/promises";

export interface Patience {
  /** No new try begins after so long. */
  limitMs: number;
  signal: AbortSignal;
  /** Whether this failure may pass. */
  mayPass: (error: unknown) => boolean;
}

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 8_000;

/**
 * What `work` returns at its first success.
 * @throws the last failure once the limit is reached, at once one that will not pass, and the signal's reason
 */
export async function withPatience<T>(patience: Patience, work: () => Promise<T>): Promise<T> {
  const begin = performance.now();
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    try {
      return await work();
    } catch (error) {
      patience.signal.throwIfAborted();
      const leftMs = patience.limitMs - (performance.now() - begin);
      if (!patience.mayPass(error) || leftMs <= 0) throw error;
      await delay(Math.min(pauseMs, leftMs), undefined, { signal: patience.signal });
    }
  }
}
