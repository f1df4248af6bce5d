/**
 * The logs of runs, as far as this engine keeps them: follows those it is told to, stores what is new, and takes the
 * rest at a run's end. A log that publish has replaced by its transcript is let go.
 *
 * What is in memory is bounded for each run (kept-log.ts). What is lost with the engine is read again by the next one,
 * from the place up to which it is stored.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { Launcher } from "../../launch/launcher.ts";
import type { Database } from "../../store/connection.ts";
import type { FollowableRun } from "../../store/runs.ts";
import { createKeptLog } from "./kept-log.ts";
import type { KeptLog } from "./kept-log.ts";
import type { Follower } from "./log-follower.ts";
import { createFollowers, isStale } from "./log-followers.ts";
import { createLogStore } from "./log-store.ts";
import { createReadingBudget } from "./reading-budget.ts";

export interface RunLogs {
  /** Follows these runs and, besides them, only those that are about to be stopped. @throws DatabaseError */
  follow(runs: readonly FollowableRun[]): Promise<void>;
  /** Stores what is new of all that are followed, and lets them read on. @throws StaleEpochError */
  keep(): Promise<void>;
  /** Who is followed and has not been replaced by a transcript. */
  followed(): Follower[];
  /** Follows a run's log over a new connection. */
  restart(follower: Follower): Promise<void>;
  /**
   * Follows a run that is about to be stopped, whatever the limit, for its log may go with it. Returns soon.
   */
  takeBeforeStop(run: Named): Promise<void>;
  /**
   * For a run that has ended: reads what is left of its log (unless `read` is false), stores it, lets go. Also for one
   * that was not followed; `stored`: something of its log may be stored.
   * @returns the end of the log, at most 8 KiB; null where nothing was said
   * @throws StaleEpochError
   */
  finish(run: Named, options: { read: boolean; stored: boolean }): Promise<string | null>;
  /** For a run that has ended with a transcript of publish: lets go, and returns the end of what was followed. */
  forget(runId: string): Promise<string | null>;
  /** Lets go of all; resolves when nothing is read any more. */
  close(): Promise<void>;
}

type Named = Pick<FollowableRun, "id" | "jobName">;

export interface RunLogsOptions {
  database: Database;
  epoch: number;
  launcher: Launcher;
  log: Logger;
}

/** For `result.logs`. */
const TAIL_BYTES = 8_192;

/** Most runs that are followed only because they are about to be stopped. */
const MOST_EXEMPT = 20;
const BEFORE_STOP_MS = 1_000;

export function createRunLogs(options: RunLogsOptions): RunLogs {
  const { launcher } = options;
  const budget = createReadingBudget();
  const followers = createFollowers({ ...options, budget });
  /** Publish has stored their transcript, or they have ended. */
  const replaced = new Set<string>();
  /** Followed only because they are about to be stopped. */
  const exempt = new Set<string>();
  const store = createLogStore(options);

  const followed = () => followers.all().filter(({ run }) => !replaced.has(run.id));
  const beginAll = async (runs: readonly FollowableRun[]): Promise<void> => {
    const fresh = runs.filter(({ id }) => followers.get(id) === undefined);
    const stored = await store.load(fresh.map(({ id }) => id));
    for (const run of fresh) {
      if (followers.get(run.id) === undefined) followers.begin(run, createKeptLog(stored.get(run.id)));
    }
  };
  const forget = async (runId: string): Promise<string | null> => {
    replaced.delete(runId);
    exempt.delete(runId);
    const follower = await followers.remove(runId);
    return follower?.kept.tail(TAIL_BYTES) ?? null;
  };

  return {
    follow: async (runs) => {
      const wanted = new Set(runs.map(({ id }) => id));
      const unwanted = followers.all().filter(({ run }) => !wanted.has(run.id) && !exempt.has(run.id));
      for (const { run } of unwanted) await forget(run.id);
      await Promise.all(followed().filter(isStale).map(followers.restart));
      await beginAll(runs);
    },
    keep: async () => {
      for (const runId of await store.keep(followed())) {
        replaced.add(runId);
        await followers.get(runId)?.stop();
      }
      budget.refill();
    },
    followed,
    restart: followers.restart,
    takeBeforeStop: async (run) => {
      if (followers.get(run.id) !== undefined || exempt.size >= MOST_EXEMPT) return;
      exempt.add(run.id);
      budget.refill(); // where nobody is followed, nobody else does
      await beginAll([{ ...run, silenceLimitMs: Infinity }]);
      const late = new AbortController();
      const wait = delay(BEFORE_STOP_MS, undefined, { signal: late.signal }).catch(() => undefined);
      await Promise.race([followers.get(run.id)?.begun, wait]);
      late.abort();
    },
    finish: async (run, { read, stored }) => {
      const follower = followers.get(run.id);
      await follower?.stop();
      const kept = follower?.kept ?? createKeptLog(stored ? (await store.load([run.id])).get(run.id) : []);
      if (!replaced.has(run.id)) {
        if (read) await readRest(launcher, run.jobName, kept);
        await store.keep([{ run, kept }]);
      }
      await forget(run.id);
      return kept.tail(TAIL_BYTES);
    },
    forget,
    close: async () => {
      await Promise.all(followers.all().map(({ run }) => forget(run.id)));
    },
  };
}

async function readRest(launcher: Launcher, jobName: string, kept: KeptLog): Promise<void> {
  for await (const { text, place } of launcher.logs(jobName, { follow: false, after: kept.place() })) {
    kept.add(text, place);
  }
}
