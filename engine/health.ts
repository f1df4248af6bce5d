/**
 * What the engine knows of its own health, from what its loops tell it. Pure but for the clock that is passed in.
 *
 * Alive is who still makes steps, whether or not the database answers: restarting cures a wedged engine, not an
 * absent database. Ready is who has reached the database; a standby is as ready as the leader.
 */
export interface Health {
  /** A step was made: a beat of the leader, or an attempt to lead. */
  step(): void;
  /** The database was reached, or it was not. */
  database(reached: boolean): void;
  /** Why the engine should be restarted, in a sentence; null: it is alive. */
  liveProblem(): string | null;
  /** Why the engine cannot do its work, in a sentence; null: it is ready. */
  readyProblem(): string | null;
}

/** Twice as long as the slowest step that can be thought of: statements may take 20 s, calls of a launcher 30 s. */
const WEDGED_AFTER_MS = 120_000;

export function createHealth(monotonicMs: () => number): Health {
  let lastStepMs: number | null = null;
  let reached = false;
  const liveProblem = (): string | null => {
    // Before the first step the engine waits for a database that does not answer yet.
    const silentMs = lastStepMs === null ? 0 : monotonicMs() - lastStepMs;
    return silentMs > WEDGED_AFTER_MS ? `No step was made for ${Math.round(silentMs / 1000)} seconds.` : null;
  };
  return {
    step: () => {
      lastStepMs = monotonicMs();
    },
    database: (isReached) => {
      reached = isReached;
    },
    liveProblem,
    readyProblem: () => liveProblem() ?? (reached ? null : "The database is not reached."),
  };
}
