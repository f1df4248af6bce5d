/** Asks again where the API server was busy or away: as soon as it says, else with growing pauses. */
import { setTimeout as delay } from "node:timers/promises";
import { isBusy, mayPass } from "./api-error.ts";

export interface PatienceOptions {
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
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    try {
      return await ask();
    } catch (error) {
      if (!mayPass(error)) throw error;
      const waitMs = error.retryAfterMs ?? pauseMs * (0.5 + Math.random());
      const limitMs = isBusy(error) ? (options.busyLimitMs ?? options.limitMs) : options.limitMs;
      if (options.signal?.aborted || performance.now() + waitMs > began + limitMs) throw error;
      options.onPause?.(waitMs);
      await delay(waitMs, undefined, options.signal === undefined ? {} : { signal: options.signal }).catch(
        () => undefined,
      );
    }
  }
}
