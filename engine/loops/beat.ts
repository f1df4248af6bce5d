/**
 * The leader's sign of life, by the database's clock. A leader that cannot give it for longer than a
 * successor waits gives up by itself, also when its session still looks alive (half-open connection).
 */
import { beat } from "../store/leadership.ts";
import { DatabaseUnreachableError, StaleEpochError } from "../store/errors.ts";
import type { Leader } from "./leader.ts";
import type { Tick } from "./loop.ts";

const BEAT_MS = 3_000;
const GIVE_UP_AFTER_MS = 10_000;

/** `onBeat` is called after each beat. */
export function beatTick(
  leader: Leader,
  { monotonicMs, onBeat }: { monotonicMs: () => number; onBeat: () => void },
): Tick {
  let lastBeatMs = monotonicMs();
  return async () => {
    try {
      await beat(leader.database, leader.epoch);
      lastBeatMs = monotonicMs();
      onBeat();
    } catch (error) {
      if (error instanceof DatabaseUnreachableError && monotonicMs() - lastBeatMs > GIVE_UP_AFTER_MS) {
        throw new StaleEpochError("No sign of life could be given for 10 seconds.", { cause: error });
      }
      throw error;
    }
    return BEAT_MS;
  };
}
