/**
 * The daemon: stands by until it may lead, leads until it is stopped or replaced, and stands by again.
 *
 * Any number may be started on one database. Stopping leaves runs alive; the next engine adopts them.
 * A lost database is waited for: said once, and once more when it is back.
 */
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import type { Logger } from "pino";
import { startRecurring } from "./cron/recurring.ts";
import { tokenHash } from "./domain/run-token.ts";
import type { Health } from "./health.ts";
import type { Launcher } from "./launch/launcher.ts";
import { beatTick } from "./loops/beat.ts";
import { credentialsTick } from "./loops/credentials.ts";
import { dispatchTick } from "./loops/dispatch.ts";
import { FOLLOW_DEFAULTS, followLogsTick } from "./loops/follow-logs.ts";
import type { FollowOptions } from "./loops/follow-logs.ts";
import { launches } from "./loops/launch.ts";
import type { Leader } from "./loops/leader.ts";
import { startLoop } from "./loops/loop.ts";
import type { Loop, Tick } from "./loops/loop.ts";
import { reconciling } from "./loops/reconcile.ts";
import { createRunLogs } from "./loops/logs/run-logs.ts";
import { openDatabase, openSession } from "./store/connection.ts";
import { DatabaseUnreachableError } from "./store/errors.ts";
import { engineApplicationName, listen, stepDown, tryToLead } from "./store/leadership.ts";
import type { KeepLimits } from "./store/prune.ts";
import { VERSION } from "./version.ts";

export interface EngineOptions extends KeepLimits {
  /** Login of the engine's role. */
  databaseUrl: string;
  launcher: Launcher;
  log: Logger;
  pollIntervalMs: number;
  maxLiveRuns: number;
  /** Whose logs are followed; `runs` 0: nobody's. */
  follow?: Partial<FollowOptions>;
  /** What run tokens are made with; the same for all engines of a database. */
  runKey: Buffer;
  /** Ends the engine. */
  signal: AbortSignal;
  /** Called each time this engine becomes the leader. */
  onLead?: (epoch: number) => void;
  /** Is told of every step. */
  health?: Health;
}

/** How often a standby tries, and how long a lost database is left alone. */
const STANDBY_MS = 2_000;
const POOL_SIZE = 8;

/** Runs until `signal`; runs that are under way go on without it. @throws RefusedError where it may never lead (another run key) */
export async function runEngine(options: EngineOptions): Promise<void> {
  const { log, signal } = options;
  let reachable = true;
  let standingBy = false;
  while (!signal.aborted) {
    options.health?.step();
    try {
      const led = await leadOnce(options, () => {
        options.health?.database(true);
        if (!reachable) log.info("database reached again");
        reachable = true;
      });
      if (!led && !standingBy) log.info("another engine leads; standing by");
      standingBy = !led;
    } catch (error) {
      if (!(error instanceof DatabaseUnreachableError)) throw error;
      options.health?.database(false);
      if (reachable) log.error({ reason: error.message }, "database cannot be reached; waiting for it");
      reachable = false;
    }
    await delay(STANDBY_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** One session: leads with it if it may, until it is lost or the engine stops. Returns whether it led. */
async function leadOnce(options: EngineOptions, onReached: () => void): Promise<boolean> {
  const engineId = randomUUID();
  const lost = new AbortController();
  const connection = {
    url: options.databaseUrl,
    applicationName: engineApplicationName(engineId),
    onLost: (error: Error) => lost.abort(new DatabaseUnreachableError(`The database went away: ${error.message}`)),
  };
  const session = await openSession({ ...connection, max: 1, statementTimeoutMs: 20_000 });
  session.on("end", () => connection.onLost(new Error("connection ended")));
  onReached();
  try {
    const epoch = await tryToLead(session, {
      engineId,
      host: hostname(),
      version: VERSION,
      launcher: options.launcher.name,
      maxLiveRuns: options.maxLiveRuns,
      keyHash: tokenHash(options.runKey.toString("hex")),
    });
    if (epoch === null) return false;
    await lead(options, { epoch, session, lost, applicationName: connection.applicationName });
  } finally {
    await session.end().catch(() => undefined);
  }
  if (!options.signal.aborted && lost.signal.reason instanceof DatabaseUnreachableError) throw lost.signal.reason;
  return true;
}

interface Lead {
  epoch: number;
  session: pg.Client;
  /** Aborted when this engine may not lead any more. */
  lost: AbortController;
  applicationName: string;
}

async function lead(options: EngineOptions, { epoch, session, lost, applicationName }: Lead): Promise<void> {
  const database = openDatabase({
    url: options.databaseUrl,
    applicationName,
    max: POOL_SIZE,
    statementTimeoutMs: 20_000,
  });
  const log = options.log.child({ epoch });
  const stop = AbortSignal.any([options.signal, lost.signal]);
  const leader: Leader = {
    epoch,
    signal: stop,
    host: options.launcher.host,
    database,
    session,
    launcher: options.launcher,
    log,
    runKey: options.runKey,
    pollIntervalMs: options.pollIntervalMs,
    launching: new Set(),
    heldUp: new Set(),
    toLaunch: new Map(),
    logs: createRunLogs({ database, epoch, launcher: options.launcher, log }),
  };
  const { loops, jobsChanged } = startLoops(leader, stop, {
    leadLost: (reason) => lost.abort(reason),
    beat: () => options.health?.step(),
    follow: { ...FOLLOW_DEFAULTS, ...options.follow },
  });
  const wakeAll = () => Object.values(loops).forEach((loop) => loop.wake());
  const stopWatching = options.launcher.watch(jobsChanged);
  let stopRecurring: (() => Promise<void>) | undefined;
  try {
    await listen(session, wakeAll);
    stopRecurring = await startRecurring(leader, options);
    log.info({ launcher: options.launcher.name, max_live_runs: options.maxLiveRuns }, "leading");
    options.onLead?.(epoch);
    await aborted(stop);
  } finally {
    lost.abort(lost.signal.reason);
    await Promise.all([stopWatching(), stopRecurring?.(), ...Object.values(loops).map((loop) => loop.ended)]);
    await leader.logs.close();
    if (options.signal.aborted) await stepDown(database, epoch).catch(() => undefined);
    await database.close().catch(() => undefined);
    log.info("no longer leading; runs go on");
  }
}

/** INSERT → dispatch → launch → observe and settle; each wakes the next. */
function startLoops(
  leader: Leader,
  signal: AbortSignal,
  on: { leadLost: (reason: Error) => void; beat: () => void; follow: FollowOptions },
) {
  const start = (name: string, tick: Tick): Loop =>
    startLoop({ name, tick, log: leader.log, signal, onLeadLost: on.leadLost });
  const looking = reconciling(leader, () => dispatch.wake());
  const reconcile = start("reconcile", looking.tick);
  const jobsChanged = (runIds?: readonly string[]): void => {
    looking.jobsChanged(runIds);
    reconcile.wake();
  };
  const rowsChanged = (): void => {
    looking.rowsChanged();
    reconcile.wake();
  };
  const { begin, tick } = launches(leader, jobsChanged);
  const launch = start("launch", tick);
  const dispatch = start("dispatch", dispatchTick(leader, begin));
  const loops = {
    dispatch,
    launch,
    reconcile: { ...reconcile, wake: rowsChanged },
    credentials: start("credentials", credentialsTick(leader)),
    beat: start("beat", beatTick(leader, { monotonicMs: () => performance.now(), onBeat: on.beat })),
    ...(on.follow.runs > 0 ? { followLogs: start("follow-logs", followLogsTick(leader, on.follow)) } : {}),
  };
  return { loops, jobsChanged };
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
