/**
 * How much all followers together may read between two looks: runs that flood their logs are read at leisure, and cost
 * neither memory nor the time of others.
 */

export interface ReadingBudget {
  /** Resolves when more may be read: at once while something is left, else after the next `refill`, or on the signal. */
  spend(chars: number, signal: AbortSignal): Promise<void>;
  refill(): void;
}

/** An agent prints a few KiB in that time. */
const CHARS = 4 * 2 ** 20;

export function createReadingBudget(chars: number = CHARS): ReadingBudget {
  let left = chars;
  let refilled = Promise.withResolvers<void>();
  return {
    spend: async (spent, signal) => {
      left -= spent;
      if (left > 0) return;
      const aborted = Promise.withResolvers<void>();
      const abort = (): void => aborted.resolve();
      signal.addEventListener("abort", abort);
      while (left <= 0 && !signal.aborted) await Promise.race([refilled.promise, aborted.promise]);
      // A run that floods its log waits thousands of times on the same signal.
      signal.removeEventListener("abort", abort);
    },
    refill: () => {
      left = chars;
      refilled.resolve();
      refilled = Promise.withResolvers<void>();
    },
  };
}
