/**
 * Recurring and deferred work of the leading engine, run by graphile-worker: thin calls, bounded batches.
 * It runs only in the leader, in the same database, in a schema of its own.
 */
import { Logger as WorkerLogger, parseCrontab, run } from "graphile-worker";
import type { TaskList } from "graphile-worker";
import type pg from "pg";
import { asking } from "../store/connection.ts";
import { sweepLanes } from "../store/dispatch.ts";
import { pruneTranscripts } from "../store/transcripts.ts";
import type { Leader } from "../loops/leader.ts";

const CRONTAB = `
17 * * * * sweep_lanes ?max=3
37 * * * * prune_transcripts ?max=3
`;
const PRUNE_BATCH = 500;
/** Jobs are rare and announced by NOTIFY; looking seldom keeps an idle engine idle. */
const POLL_MS = 60_000;

export interface RecurringOptions {
  keepTranscriptsMs: number;
}

/**
 * Starts graphile-worker on the leader's pool. Returns the way to stop it, which waits for jobs under way.
 * @throws DatabaseUnreachableError, also where no connection is free
 */
export async function startRecurring(leader: Leader, options: RecurringOptions): Promise<() => Promise<void>> {
  const runner = await asking(
    run({
      pgPool: releasingOnce(leader.database.pool),
      taskList: tasksOf(leader, options),
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
type OnConnect = (error: Error | undefined, client: pg.PoolClient | undefined, release: Release) => void;

/**
 * The pool for graphile-worker, whose listener (0.18.0) releases its connection a second time where that is
 * lost while it stops: the pool throws then, nobody catches it, and the engine would end.
 */
function releasingOnce(pool: pg.Pool): pg.Pool {
  const connect = (callback?: OnConnect): unknown => {
    if (callback === undefined) return pool.connect();
    return pool.connect((error, client, release) => {
      let released = false;
      callback(error, client, (destroy) => {
        if (!released) release(destroy);
        released = true;
      });
    });
  };
  return new Proxy(pool, {
    get: (target, name): unknown => (name === "connect" ? connect : Reflect.get(target, name)),
  });
}

function tasksOf(leader: Leader, options: RecurringOptions): TaskList {
  return {
    sweep_lanes: async () => {
      const addressees = await sweepLanes(leader.database);
      leader.log.debug({ addressees }, "lanes swept");
    },
    prune_transcripts: async () => {
      let pruned = 0;
      let batch;
      do {
        batch = await pruneTranscripts(leader.database, options.keepTranscriptsMs, PRUNE_BATCH);
        pruned += batch;
      } while (batch === PRUNE_BATCH);
      if (pruned > 0) leader.log.info({ transcripts: pruned }, "transcripts pruned");
    },
  };
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
