/**
 * Watches one invocation of the CLI by the clock: first output, silence, the deadline, and the grace
 * time after the final message.
 *
 * Time is monotonic and stands still while the machine sleeps, so a laptop that slept has failed nothing.
 */
import type { EndedBy } from "./judge.ts";

/** What the CLI gets to end by itself after its final message. */
const FINISH_GRACE_MS = 10_000;

const TICK_MS = 100;

export interface WatchLimits {
  firstOutputMs: number;
  silenceMs: number;
  /** On the clock of `performance.now()`. */
  deadlineAt: number;
  finishGraceMs?: number;
}

export interface Watch {
  /** Output came. `finished`: its last message so far is the final one. */
  heard(finished: boolean): void;
  close(): void;
}

/** Calls `onEnd` once, with the first limit that is passed; `onTick` about ten times a second. */
export function startWatch(limits: WatchLimits, onEnd: (by: EndedBy) => void, onTick: () => void): Watch {
  const startedAt = performance.now();
  let heardAt: number | null = null;
  let finishedAt: number | null = null;
  const timer = setInterval(() => {
    onTick();
    const by = passed(performance.now());
    if (by === null) return;
    clearInterval(timer);
    onEnd(by);
  }, TICK_MS);
  function passed(now: number): EndedBy | null {
    if (finishedAt !== null && now - finishedAt >= (limits.finishGraceMs ?? FINISH_GRACE_MS)) return "finished";
    if (now >= limits.deadlineAt) return "deadline";
    if (heardAt === null) return now - startedAt >= limits.firstOutputMs ? "no_first_output" : null;
    return finishedAt === null && now - heardAt >= limits.silenceMs ? "silence" : null;
  }
  return {
    heard(finished) {
      heardAt = performance.now();
      finishedAt = finished ? (finishedAt ?? heardAt) : null;
    },
    close: () => clearInterval(timer),
  };
}
