/**
 * Dispatch: claims tasks whose addressee has a free slot, in batches, until none is left; stays awake for a
 * moment, then sleeps.
 *
 * Between looking and sleeping no wake-up is lost: the engine takes the asleep lock, looks once more, and
 * only then waits (see sql/functions/lane_changes.sql for the inserters' side).
 */
import { makeTickets } from "../domain/run-token.ts";
import { claimRuns } from "../store/dispatch.ts";
import type { Claimed } from "../store/dispatch.ts";
import { fallAsleep, wakeUp } from "../store/leadership.ts";
import type { UnlaunchedRun } from "../store/runs.ts";
import type { Leader } from "./leader.ts";
import type { Tick } from "./loop.ts";

/** Most tasks a claim takes: big enough that the round trip does not count, small enough that launches begin soon. */
const BATCH = 64;
/** Most changes of lanes a claim works off: as in sql/functions/claim_runs.sql. */
const MOST_DRAINED = 2_000;
/**
 * How soon to look again while there is work, and how long after the last of it: what comes in between goes into one
 * claim, and neither the engine nor those who insert pay for falling asleep and waking up at every task.
 */
const PACE_MS = 3;
const STAY_AWAKE_MS = 30;
/** How soon to look again while a transaction that has inserted keeps the engine from sleeping: most commit at once. */
const FIRST_OPEN_INSERTER_MS = 1;
const LONGEST_OPEN_INSERTER_MS = 100;

/** @param launch begins the launch of the claimed runs, without waiting for it */
export function dispatchTick(leader: Leader, launch: (runs: readonly UnlaunchedRun[]) => void): Tick {
  let asleep = false;
  let openInserterMs = FIRST_OPEN_INSERTER_MS;
  let workedAt = -Infinity;
  // Made while nothing waits for them: they would cost a claim a millisecond.
  let tickets = makeTickets(leader.runKey, BATCH, Date.now());

  const claim = async (): Promise<Claimed> => {
    const claimed = await claimRuns(leader.database, {
      epoch: leader.epoch,
      launcher: leader.launcher.name,
      host: leader.host,
      tickets,
    }).catch((error: unknown) => {
      // Only the answer may be lost: runs with these ids may exist, and the launch loop finds them.
      tickets = makeTickets(leader.runKey, BATCH, Date.now());
      throw error;
    });
    if (claimed.to_launch.length > 0) {
      launch(claimed.to_launch);
      const used = claimed.to_launch.length; // the first ones
      leader.log.debug({ claimed: used }, "claimed tasks");
      tickets = [...tickets.slice(used), ...makeTickets(leader.runKey, used, Date.now())];
    }
    return claimed;
  };

  return async () => {
    const { to_launch, drained, next_look_ms } = await claim();
    if (to_launch.length > 0 || drained > 0) {
      if (asleep) {
        await wakeUp(leader.session);
        asleep = false;
      }
      workedAt = performance.now();
      return to_launch.length === BATCH || drained >= MOST_DRAINED ? 0 : PACE_MS;
    }
    const waitMs = Math.min(leader.pollIntervalMs, Math.max(1, next_look_ms ?? Infinity));
    if (asleep) return waitMs;
    if (performance.now() - workedAt < STAY_AWAKE_MS) return Math.min(PACE_MS, waitMs);
    asleep = await fallAsleep(leader.session);
    if (!asleep) {
      openInserterMs = Math.min(openInserterMs * 2, LONGEST_OPEN_INSERTER_MS);
      return Math.min(openInserterMs, waitMs);
    }
    openInserterMs = FIRST_OPEN_INSERTER_MS;
    return 0; // look once more, now that inserters notify
  };
}
