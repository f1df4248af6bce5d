/**
 * Follow logs: reads the logs of the oldest live runs as they grow and stores what came, so that a lost node costs
 * seconds of evidence; ends a run whose agent hangs where nobody inside can say so.
 *
 * domain/silence.ts judges; a run is called hung only after its log was read over a new connection and was silent.
 */
import { failedReport } from "../../worker-image/run-failure.ts";
import { hungFailure, isSuspect, judgeSilence, SILENCE_MARGIN_MS } from "../domain/silence.ts";
import type { FreshLook } from "../domain/silence.ts";
import type { Launcher } from "../launch/launcher.ts";
import { StaleEpochError } from "../store/errors.ts";
import { followableRuns, reportInstead } from "../store/runs.ts";
import type { Leader } from "./leader.ts";
import type { Follower } from "./logs/log-follower.ts";
import type { Tick } from "./loop.ts";

export interface FollowOptions {
  /** Most runs that are followed. */
  runs: number;
  /** How often what came is stored, and new runs are found; what is lost with a node is twice as much at most. */
  everyMs: number;
  silenceMarginMs: number;
}

export const FOLLOW_DEFAULTS: FollowOptions = { runs: 100, everyMs: 5_000, silenceMarginMs: SILENCE_MARGIN_MS };

/** A suspect that could not be judged is looked at again after so long. */
const SUSPECT_AGAIN_MS = 60_000;

export function followLogsTick(leader: Leader, options: FollowOptions): Tick {
  const lookedAt = new WeakMap<Follower, number>();
  const isDue = (follower: Follower): boolean => {
    const silence = { silentMs: performance.now() - follower.heardAt, limitMs: follower.run.silenceLimitMs };
    const looked = lookedAt.get(follower) ?? -Infinity;
    return isSuspect(silence, options.silenceMarginMs) && performance.now() - looked > SUSPECT_AGAIN_MS;
  };
  let nextAt = -Infinity;
  return async () => {
    const early = nextAt - performance.now();
    if (early > 0) return early; // woken by what concerns other loops
    nextAt = performance.now() + options.everyMs;
    await leader.logs.keep();
    await leader.logs.follow(await followableRuns(leader.database, leader.host, options.runs));
    for (const follower of leader.logs.followed().filter(isDue)) {
      lookedAt.set(follower, performance.now());
      if (await foundAlive(leader, follower)) lookedAt.delete(follower);
    }
    return options.everyMs;
  };
}

/** Looks at a silent run, and ends it where it hangs. True where it lives: its silence has begun anew. */
async function foundAlive(leader: Leader, follower: Follower): Promise<boolean> {
  const { run } = follower;
  try {
    const log = await readBehind(leader.launcher, follower);
    const observation = (await leader.launcher.observe(new Set([run.id]))).find(({ runId }) => runId === run.id);
    const judgement = judgeSilence({ log, lastPhase: follower.lastPhase, observation });
    if (judgement === "hung") await endHung(leader, follower);
    if (judgement !== "alive") return false;
    follower.heardAt = performance.now();
    follower.lastPhase = observation?.phase ?? null;
    if (log === "spoke") await leader.logs.restart(follower);
    return true;
  } catch (error) {
    if (error instanceof StaleEpochError) throw error;
    leader.log.warn({ err: error, run_id: run.id }, "a silent run could not be looked at");
    return false;
  }
}

/** Whether there is more of its log than has come. What is read is left to the follower. */
async function readBehind(launcher: Launcher, { run, kept }: Follower): Promise<FreshLook["log"]> {
  let found: FreshLook["log"] = "silent";
  for await (const { place } of launcher.logs(run.jobName, { follow: false, after: kept.place() })) {
    if (place !== null) return "spoke";
    found = "unreadable";
  }
  return found;
}

/** Settled by its report, as every run; what is left of it is ended. */
async function endHung(leader: Leader, { run, heardAt, kept }: Follower): Promise<void> {
  const failure = hungFailure({ silentMs: performance.now() - heardAt, limitMs: run.silenceLimitMs });
  const report = { ...failedReport(failure), logs: kept.tail(8_192) };
  if (!(await reportInstead(leader.database, leader.epoch, run.id, report))) return;
  leader.log.warn({ run_id: run.id, job: run.jobName, reason: failure.error }, "ended a run that hangs");
  await leader.launcher.stop(run.jobName, failure.error, { atOnce: true });
}
