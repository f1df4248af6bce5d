/**
 * The one runner of all loops: owns sleeping, waking, backoff and stopping. A loop file is only its tick.
 *
 * A tick takes no input: it reads stored state, does a bounded amount of work and returns how long to wait.
 * Waking only shortens the wait; a wake during a tick makes it run once more, so none is lost.
 */
import type { Logger } from "pino";
import { DatabaseUnreachableError, StaleEpochError } from "../store/errors.ts";

/** Milliseconds to wait before the next tick; 0: at once. */
export type Tick = () => Promise<number>;

export interface Loop {
  wake(): void;
  /** Resolves when the loop has ended; never rejects. */
  readonly ended: Promise<void>;
}

export interface LoopOptions {
  name: string;
  tick: Tick;
  log: Logger;
  /** Ends the loop: a tick under way is finished, none is begun. */
  signal: AbortSignal;
  /** Called once when a tick finds that this engine does not lead any more; the loop has ended then. */
  onLeadLost: (error: StaleEpochError) => void;
}

const FIRST_BACKOFF_MS = 100;
const LONGEST_BACKOFF_MS = 5_000;

export function startLoop(options: LoopOptions): Loop {
  const sleeper = createSleeper(options.signal);
  return { wake: sleeper.wake, ended: runTicks(options, sleeper.sleep) };
}

async function runTicks(options: LoopOptions, sleep: (ms: number) => Promise<void>): Promise<void> {
  const log = options.log.child({ loop: options.name });
  let backoffMs = 0;
  while (!options.signal.aborted) {
    try {
      const waitMs = await options.tick();
      backoffMs = 0;
      if (waitMs > 0) await sleep(waitMs);
    } catch (error) {
      if (error instanceof StaleEpochError) {
        options.onLeadLost(error);
        return;
      }
      backoffMs = Math.min(Math.max(FIRST_BACKOFF_MS, backoffMs * 2), LONGEST_BACKOFF_MS);
      // The lost session is reported once by whoever holds it.
      const level = error instanceof DatabaseUnreachableError ? "debug" : "error";
      log[level]({ err: error, retry_in_ms: backoffMs }, "tick failed");
      await sleep(backoffMs);
    }
  }
}

/** A sleep that a wake cuts short; a wake while awake makes the next sleep return at once. */
function createSleeper(signal: AbortSignal): { sleep(ms: number): Promise<void>; wake(): void } {
  let woken = false;
  let wakeSleeper: (() => void) | undefined;
  const wake = () => {
    woken = true;
    wakeSleeper?.();
  };
  signal.addEventListener("abort", wake, { once: true });
  const sleep = async (ms: number) => {
    if (!woken && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        wakeSleeper = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      wakeSleeper = undefined;
    }
    woken = false;
  };
  return { sleep, wake };
}
