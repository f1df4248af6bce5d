/**
 * Recurring and deferred work of the leading engine, run by graphile-worker: thin calls, bounded batches.
 * It runs only in the leader, in the same database, in a schema of its own.
 */
import { Logger as WorkerLogger, parseCrontab, run } from "graphile-worker";
import type { TaskList } from "graphile-worker";
import type pg from "pg";
import { asking } from "../store/connection.ts";
import { sweepLanes } from "../store/dispatch.ts";
import { endOverdueEpics, wakeIdleEpics } from "../store/epic-care.ts";
import type { KeepLimits, Prunable } from "../store/prune.ts";
import type { Leader } from "../loops/leader.ts";
import { prune } from "./prune.ts";

/**
 * Runs are pruned once a day (made up for where no engine was there): a round also looks at the runs that are
 * kept because they are the newest of their tasks. Epics are looked at often: a limit of time is a promise.
 */
const CRONTAB = `
17 * * * * sweep_lanes ?max=3
37 * * * * prune_transcripts ?max=3
* * * * * end_overdue_epics ?max=1
*/5 * * * * wake_idle_epics ?max=1
53 3 * * * prune_runs ?fill=1d&max=3
`;
/** Pruning takes a fifth of one connection's time at most, for at most three minutes of each hour or day. */
const PRUNE_REST_FACTOR = 4;
const PRUNE_MAX_MS = 15 * 60_000;
/** Jobs are rare and announced by NOTIFY; looking seldom keeps an idle engine idle. */
const POLL_MS = 60_000;

/**
 * Starts graphile-worker on the leader's pool. Returns the way to stop it, which waits for jobs under way.
 * @throws DatabaseUnreachableError, also where no connection is free
 */
export async function startRecurring(leader: Leader, keep: KeepLimits): Promise<() => Promise<void>> {
  const runner = await asking(
    run({
      pgPool: releasingOnce(leader.database.pool),
      taskList: tasksOf(leader, keep),
      parsedCronItems: parseCrontab(CRONTAB),
      concurrency: 2,
      pollInterval: POLL_MS,
      noHandleSignals: true,
      logger: workerLogger(leader),
    }),
  );
  // A lost database ends the leadership, which starts a new runner; its error is logged there.
  runner.promise.catch(() => undefined);
  return () => runner.stop().catch(() => undefined);
}

type Release = (destroy?: Error | boolean) => void;
/** Without `release` where the pool has been closed meanwhile, whatever its types say. */
type OnConnect = (error: Error | undefined, client: pg.PoolClient | undefined, release?: Release) => void;

/**
 * The pool for graphile-worker, whose listener (0.18.0) releases its connection a second time where that is
 * lost while it stops: the pool throws then, nobody catches it, and the engine would end. It also asks for a connection
 * once more after that, of a pool that may be closed by then, which gives it nothing to release.
 */
function releasingOnce(pool: pg.Pool): pg.Pool {
  const connect = (callback?: OnConnect): unknown => {
    if (callback === undefined) return pool.connect();
    return pool.connect((error, client, release?: Release) => {
      let released = false;
      callback(error, client, (destroy) => {
        if (!released) release?.(destroy);
        released = true;
      });
    });
  };
  return new Proxy(pool, {
    get: (target, name): unknown => (name === "connect" ? connect : Reflect.get(target, name)),
  });
}

function tasksOf(leader: Leader, keep: KeepLimits): TaskList {
  return {
    sweep_lanes: async () => {
      const addressees = await sweepLanes(leader.database);
      leader.log.debug({ addressees }, "lanes swept");
    },
    end_overdue_epics: async () => {
      const ended = await endOverdueEpics(leader.database, leader.epoch);
      if (ended > 0) leader.log.info({ ended }, "epics whose wall time is over were ended");
    },
    wake_idle_epics: async () => {
      await wakeIdleEpics(leader.database, leader.epoch);
    },
    prune_transcripts: () => pruneAndSay(leader, keep, ["transcripts"]),
    prune_runs: () => pruneAndSay(leader, keep, ["events", "runs"]),
  };
}

async function pruneAndSay(leader: Leader, keep: KeepLimits, what: readonly Prunable[]): Promise<void> {
  const { signal } = leader;
  const pruned = await prune(leader.database, {
    what,
    keep,
    signal,
    restFactor: PRUNE_REST_FACTOR,
    maxMs: PRUNE_MAX_MS,
  });
  const nothing = pruned.transcripts + pruned.runs + pruned.events === 0;
  leader.log[nothing ? "debug" : "info"](pruned, "pruned");
}

/** graphile-worker's own messages are details to us, but for its errors. */
function workerLogger(leader: Leader): WorkerLogger {
  const log = leader.log.child({ loop: "recurring" });
  return new WorkerLogger(() => (level, message, meta) => {
    log[level === "error" ? "warn" : "debug"](
      { ...(meta?.["error"] === undefined ? {} : { err: meta["error"] }) },
      message,
    );
  });
}
