/** Asks again where the API server was busy or away: as soon as it says, else with growing pauses. */
import { setTimeout as delay } from "node:timers/promises";
import { isBusy, mayPass } from "./api-error.ts";

export interface PatienceOptions {
  /** Counts from the first failure behind those of a server that was too busy or away: it may have to read its roles anew. */
  limitMs: number;
  /** For a server that is too busy or away, which concerns all requests; default: the same. */
  busyLimitMs?: number;
  signal?: AbortSignal | undefined;
  /** Called before each pause. */
  onPause?: (pauseMs: number) => void;
}

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;

/** @throws what the last try threw, once the limit would be passed or trying again cannot help */
export async function withPatience<Result>(options: PatienceOptions, ask: () => Promise<Result>): Promise<Result> {
  const began = performance.now();
  let refusedSince: number | null = null;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    try {
      return await ask();
    } catch (error) {
      if (!mayPass(error)) throw error;
      if (isBusy(error)) refusedSince = null;
      else if (refusedSince === null) {
        refusedSince = performance.now();
        pauseMs = FIRST_PAUSE_MS;
      }
      const waitMs = error.retryAfterMs ?? pauseMs * (0.5 + Math.random());
      const until =
        refusedSince === null ? began + (options.busyLimitMs ?? options.limitMs) : refusedSince + options.limitMs;
      if (options.signal?.aborted || performance.now() + waitMs > until) throw error;
      options.onPause?.(waitMs);
      await delay(waitMs, undefined, options.signal === undefined ? {} : { signal: options.signal }).catch(
        () => undefined,
      );
    }
  }
}
