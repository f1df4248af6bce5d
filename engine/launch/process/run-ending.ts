/** Why a run is to end before its phases are through. The first cause stands. */

/**
 * `stopped`: somebody asked. `deadline`: its time is up. `terminated`: this machine wants the
 * supervisor to go (shutdown). `deleted`: its directory is gone.
 */
export type EndingCause = "stopped" | "deadline" | "terminated" | "deleted";

export interface RunEnding {
  /** Aborted once the run is to end. */
  readonly signal: AbortSignal;
  cause(): EndingCause | null;
  end(cause: EndingCause): void;
}

/** setTimeout takes no more milliseconds (24.8 days). */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** How often the directory is looked for. */
const LOOK_MS = 2_000;

/** Ends at the deadline, in seconds of time awake: Linux's monotonic clock, which timers use, stands still in sleep. */
export function createRunEnding(deadlineSeconds: number, directoryIsThere: () => boolean): RunEnding {
  const controller = new AbortController();
  let cause: EndingCause | null = null;
  const end = (next: EndingCause): void => {
    cause ??= next;
    controller.abort();
  };
  setTimeout(() => end("deadline"), Math.min(deadlineSeconds * 1000, MAX_TIMER_MS));
  setInterval(() => {
    if (!directoryIsThere()) end("deleted");
  }, LOOK_MS);
  process.on("SIGTERM", () => end("terminated"));
  return { signal: controller.signal, cause: () => cause, end };
}
