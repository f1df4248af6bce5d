/** Who is followed, by run id. */
import type { Logger } from "pino";
import type { Launcher } from "../../launch/launcher.ts";
import type { FollowableRun } from "../../store/runs.ts";
import type { KeptLog } from "./kept-log.ts";
import { startFollower } from "./log-follower.ts";
import type { Follower } from "./log-follower.ts";
import type { ReadingBudget } from "./reading-budget.ts";

/** A log that has ended while its run is live is looked at again after so long. */
const RETRY_MS = 30_000;

/** An agent shows a sign of life more often: the connection may be half open. */
const SILENT_MS = 180_000;

export function createFollowers(shared: { launcher: Launcher; log: Logger; budget: ReadingBudget }) {
  const followers = new Map<string, Follower>();
  const begin = (run: FollowableRun, kept: KeptLog): Follower => {
    const follower = startFollower({ ...shared, run, kept });
    followers.set(run.id, follower);
    return follower;
  };
  return {
    get: (runId: string) => followers.get(runId),
    all: () => [...followers.values()],
    begin,
    /** It has been heard of just as long ago as before. */
    restart: async (old: Follower): Promise<void> => {
      const { run, kept, heardAt, lastPhase } = old;
      await old.stop();
      if (followers.get(run.id) === old) Object.assign(begin(run, kept), { heardAt, lastPhase });
    },
    remove: async (runId: string): Promise<Follower | undefined> => {
      const follower = followers.get(runId);
      followers.delete(runId);
      await follower?.stop();
      return follower;
    },
  };
}

/** Whether it is time to follow it over a new connection. */
export function isStale({ endedAt, heardAt, begunAt }: Follower): boolean {
  const now = performance.now();
  const ended = endedAt();
  return ended === null ? now - Math.max(heardAt, begunAt) > SILENT_MS : now - ended > RETRY_MS;
}
