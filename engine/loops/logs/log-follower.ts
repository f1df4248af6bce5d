/** Follows the log of one run, as fast as it may, and ends with the run. */
import type { Logger } from "pino";
import type { Phase } from "../../../worker-image/contract.ts";
import type { Launcher } from "../../launch/launcher.ts";
import type { FollowableRun } from "../../store/runs.ts";
import type { KeptLog } from "./kept-log.ts";
import type { ReadingBudget } from "./reading-budget.ts";

export interface Follower {
  readonly run: FollowableRun;
  readonly kept: KeptLog;
  readonly begunAt: number;
  /** When the last line came, or it was begun: on the clock of `performance.now()`. */
  heardAt: number;
  /** Of the last line that came; null: not known. */
  lastPhase: Phase | null;
  /** Resolves when something has come, or nothing will. */
  readonly begun: Promise<void>;
  /** When the log came to its end, or could not be read; null: it is being read. */
  endedAt(): number | null;
  /** Lets go. Resolves when nothing will be added any more; never rejects. */
  stop(): Promise<void>;
}

export interface FollowerOptions {
  launcher: Launcher;
  log: Logger;
  run: FollowableRun;
  /** Goes on behind what it holds. */
  kept: KeptLog;
  budget: ReadingBudget;
}

export function startFollower({ launcher, log, run, kept, budget }: FollowerOptions): Follower {
  const leaving = new AbortController();
  const begun = Promise.withResolvers<void>();
  let endedAt: number | null = null;
  const follower: Follower = {
    run,
    kept,
    begunAt: performance.now(),
    heardAt: performance.now(),
    lastPhase: null,
    begun: begun.promise,
    endedAt: () => endedAt,
    stop: async () => {
      leaving.abort();
      await read;
    },
  };
  const read = readOn().finally(() => {
    endedAt = performance.now();
    begun.resolve();
  });
  return follower;

  async function readOn(): Promise<void> {
    try {
      const reading = { follow: true, after: kept.place(), signal: leaving.signal };
      for await (const { text, place, phase } of launcher.logs(run.jobName, reading)) {
        kept.add(text, place);
        if (place !== null) {
          follower.heardAt = performance.now();
          follower.lastPhase = phase;
        }
        begun.resolve();
        await budget.spend(text.length, leaving.signal);
      }
    } catch (error) {
      // Begun anew later; at the run's end the rest is read.
      if (!leaving.signal.aborted) log.debug({ err: error, run_id: run.id }, "a log could not be followed");
    }
  }
}
