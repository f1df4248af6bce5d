/** When a run that failed for a reason of the infrastructure is repeated. Pure. */

/** Seconds before each repetition: the first soon, because most such failures are gone at once. */
const PAUSES_SECONDS = [3, 15, 60, 300, 900] as const;

/** A repetition starts up to this share earlier, so that many tasks that failed together do not return together. */
const JITTER = 0.25;

/**
 * Seconds until the next attempt, or null when the limit is spent.
 * @param retries infrastructure failures in a row before this one
 * @param random in [0, 1)
 */
export function retryPauseSeconds(retries: number, random: number): number | null {
  const pause = PAUSES_SECONDS[retries];
  return pause === undefined ? null : pause * (1 - JITTER * random);
}

/** Pauses of a credential while the service is too busy, by how often it was in a row. */
const OVERLOAD_PAUSES_SECONDS = [30, 60, 120, 300, 600, 1200] as const;

/**
 * Until when nothing starts with a credential whose run the service was too busy for.
 * @param overloads how often in a row, this one included; the steps grow to 20 minutes
 * @param random in [0, 1): spreads the engines of the world
 */
export function overloadedUntil(overloads: number, now: Date, random: number): Date {
  const pause = OVERLOAD_PAUSES_SECONDS[Math.min(overloads, OVERLOAD_PAUSES_SECONDS.length) - 1] ?? 30;
  return new Date(now.getTime() + pause * 1000 * (1 + JITTER * random));
}

/** Where Claude did not say when a usage limit ends. */
const UNKNOWN_RESET_SECONDS = 15 * 60;
/** A limit that is said to be over already (clock skew) still blocks for a moment, or it would be a retry storm. */
const SHORTEST_BLOCK_SECONDS = 60;
const LONGEST_BLOCK_SECONDS = 8 * 24 * 3600;

/**
 * Until when a credential is blocked after a usage limit: a little after the stated reset, jittered.
 * @param resetsAt epoch seconds as Claude stated it; null where it did not
 * @param random in [0, 1)
 */
export function blockedUntil(resetsAt: number | null, now: Date, random: number): Date {
  const nowSeconds = now.getTime() / 1000;
  const stated = resetsAt ?? nowSeconds + UNKNOWN_RESET_SECONDS;
  const bounded = Math.min(Math.max(stated, nowSeconds + SHORTEST_BLOCK_SECONDS), nowSeconds + LONGEST_BLOCK_SECONDS);
  return new Date((bounded + 5 + 25 * random) * 1000);
}
