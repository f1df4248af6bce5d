/**
 * Observe and reconcile: compares live runs with the launcher's jobs and brings them together.
 *
 * Looks at what the launcher's watch, the launches and NOTIFY have pointed to, and every 30 s at everything: what a
 * watch missed costs delay only. The plan is domain/reconcile.ts; here it is only carried out.
 */
import { setTimeout as delay } from "node:timers/promises";
import { planReconcile } from "../domain/reconcile.ts";
import type { Action } from "../domain/reconcile.ts";
import type { Observation } from "../launch/launcher.ts";
import { StaleEpochError } from "../store/errors.ts";
import { liveRuns, markLaunched, noteWaiting, stillLive } from "../store/runs.ts";
import type { SettleableRun } from "../store/runs.ts";
import type { Leader } from "./leader.ts";
import type { Tick } from "./loop.ts";
import { settleAll } from "./settle.ts";
import type { Settleable } from "./settle.ts";

const FULL_LOOK_MS = 30_000;
/** What failed is tried again soon. */
const RETRY_MS = 1_000;
/**
 * Between two looks, longer after one at many runs or one that took long: what changes meanwhile goes into one. A
 * change after a rest is looked at at once, and after a look that settled something there is none: ends come in batches
 * by themselves, and slots wait for them.
 */
const PACE_MS = 5;
const PACE_FOR_EACH_MS = 5;
const LONGEST_PACE_MS = 200;
/** Most runs that are read, or noted, at a time. */
const PAGE = 500;

type OtherAction = Exclude<Action<SettleableRun>, Settleable>;

export interface Reconciling {
  tick: Tick;
  /** The jobs of these runs may have changed; unset: any job may have. */
  jobsChanged(runIds?: readonly string[]): void;
  /** Reports may have come in, or runs are to be stopped. */
  rowsChanged(): void;
}

/** @param onSettled called when runs were settled: slots are free */
export function reconciling(leader: Leader, onSettled: () => void): Reconciling {
  const hints = createHints();
  let fullLookAt = -Infinity;
  let restUntil = -Infinity;
  /** All looks of this tick together. */
  let looked = { read: 0, settled: 0 };
  const onLook: OnLook = ({ read, settled }) => {
    if (settled > 0) onSettled();
    looked = { read: looked.read + read, settled: looked.settled + settled };
  };
  const restMs = (tookMs: number): number => {
    const { read, settled } = looked;
    if (settled > 0 || read === 0) return 0;
    return Math.min(Math.max(PACE_MS + read * PACE_FOR_EACH_MS, tookMs), LONGEST_PACE_MS);
  };

  const look = async (): Promise<readonly string[]> => {
    const { all, rows, runIds } = hints.take();
    looked = { read: 0, settled: 0 };
    if (!all && performance.now() < fullLookAt) return await lookAtSome(leader, { rows, runIds, onLook });
    const failed = await lookAtAll(leader, onLook);
    fullLookAt = performance.now() + FULL_LOOK_MS;
    return failed;
  };
  const tick = async (): Promise<number> => {
    await rest(restUntil - performance.now(), leader.signal);
    const begin = performance.now();
    try {
      const failed = await look();
      hints.jobsChanged(failed);
      if (failed.length > 0) return RETRY_MS;
      return Math.max(1, fullLookAt - performance.now());
    } catch (error) {
      fullLookAt = -Infinity; // what was to be looked at is forgotten
      throw error;
    } finally {
      const now = performance.now();
      restUntil = now + restMs(now - begin);
    }
  };
  return { tick, jobsChanged: hints.jobsChanged, rowsChanged: hints.rowsChanged };
}

/** Where to look next. */
function createHints() {
  const runIds = new Set<string>();
  let all = false;
  let rows = false;
  return {
    jobsChanged: (changed?: readonly string[]): void => {
      if (changed === undefined) all = true;
      else for (const runId of changed) runIds.add(runId);
    },
    rowsChanged: (): void => {
      rows = true;
    },
    take: () => {
      const taken = { all, rows, runIds: [...runIds] };
      runIds.clear();
      all = false;
      rows = false;
      return taken;
    },
  };
}

/** Returns the runs with which something failed. @throws StaleEpochError */
async function lookAtSome(
  leader: Leader,
  { rows, runIds, onLook }: { rows: boolean; runIds: readonly string[]; onLook: OnLook },
): Promise<string[]> {
  const failed: string[] = [];
  const lookAt = async (runs: readonly SettleableRun[], wanted: ReadonlySet<string>): Promise<void> => {
    const observations = (await leader.launcher.observe(wanted)).filter(({ runId }) => wanted.has(runId));
    failed.push(...(await bringTogether(leader, { runs, observations, onLook })));
  };
  if (rows) {
    const told = await liveRuns(leader.database, leader.host, { told: true });
    if (told.length > 0) await lookAt(told, new Set(told.map(({ id }) => id)));
  }
  for (let from = 0; from < runIds.length; from += PAGE) {
    const ids = runIds.slice(from, from + PAGE);
    await lookAt(await liveRuns(leader.database, leader.host, { ids }), new Set(ids));
  }
  return failed;
}

/** Also finds jobs without a live run. Returns the runs with which something failed. @throws StaleEpochError */
async function lookAtAll(leader: Leader, onLook: OnLook): Promise<string[]> {
  const runs: SettleableRun[] = [];
  for (let isLast = false; !isLast;) {
    const page = await liveRuns(leader.database, leader.host, { after: runs.at(-1) ?? null, limit: PAGE });
    for (const run of page) runs.push(run);
    isLast = page.length < PAGE;
  }
  // Once for all: a launcher that has lost its watch lists everything.
  const observations = await leader.launcher.observe();
  return await bringTogether(leader, { runs, observations, onLook });
}

interface Look {
  /** Read before `observations`: see World.runs. */
  runs: readonly SettleableRun[];
  observations: readonly Observation[];
  onLook: OnLook;
}

/** How many live runs a look has read, and how many it tried to settle. */
type OnLook = (look: { read: number; settled: number }) => void;

/** Returns the runs with which something failed. @throws StaleEpochError */
async function bringTogether(leader: Leader, { runs, observations, onLook }: Look): Promise<string[]> {
  const host = leader.launcher.host;
  const actions = planReconcile({ runs, observations, launching: leader.launching, host });
  const settleables = actions.filter(isSettleable);
  const settled = settleAll(leader, settleables).finally(() =>
    onLook({ read: runs.length, settled: settleables.length }),
  );
  const failed = await Promise.all([
    settled,
    ...groupsOf(actions.filter(isOther)).map((group) => carryOut(leader, group)),
  ]);
  return failed.flat();
}

/** Those that go together are carried out together. */
function groupsOf(actions: readonly OtherAction[]): OtherAction[][] {
  const launched = actions.filter(({ kind }) => kind === "mark_launched");
  const orphans = actions.filter(({ kind }) => kind === "end_orphan");
  const others = actions.filter(({ kind }) => kind !== "mark_launched" && kind !== "end_orphan");
  const pages = Array.from({ length: Math.ceil(launched.length / PAGE) }, (_, page) =>
    launched.slice(page * PAGE, (page + 1) * PAGE),
  );
  return [...pages, orphans, ...others.map((action) => [action])].filter((group) => group.length > 0);
}

/** Returns the runs that are to be tried again. @throws StaleEpochError */
async function carryOut(leader: Leader, group: readonly OtherAction[]): Promise<string[]> {
  try {
    await execute(leader, group);
    return [];
  } catch (error) {
    if (error instanceof StaleEpochError) throw error;
    const runIds = group.map((action) => ("run" in action ? action.run.id : action.observation.runId));
    if (leader.signal.aborted) return runIds; // the successor goes on with it
    const [run_id] = runIds;
    leader.log.error({ err: error, action: group[0]?.kind, run_id, runs: runIds.length }, "reconcile failed");
    return runIds;
  }
}

async function execute(leader: Leader, group: readonly OtherAction[]): Promise<void> {
  const launched = group.flatMap((one) =>
    one.kind === "mark_launched" ? [{ runId: one.run.id, podName: one.podName }] : [],
  );
  const orphans = group.flatMap((one) => (one.kind === "end_orphan" ? [one.observation] : []));
  if (launched.length > 0) await markLaunched(leader.database, leader.epoch, launched);
  if (orphans.length > 0) await endOrphans(leader, orphans);
  for (const one of group) {
    if (one.kind === "note_waiting") await noteWaiting(leader.database, leader.epoch, one.run.id, one.waitingFor);
    if (one.kind === "stop") {
      await leader.logs.takeBeforeStop(one.run);
      const atOnce = one.run.reported;
      await leader.launcher.stop(one.run.jobName, one.run.stopReason ?? "stopped", { atOnce });
    }
  }
}

/** Jobs without a live run; a run may have been claimed after the list was read, so the database is asked again. */
async function endOrphans(leader: Leader, orphans: readonly Observation[]): Promise<void> {
  const ids = orphans.map(({ runId }) => runId);
  const live = await stillLive(leader.database, ids);
  await Promise.all(orphans.filter(({ runId }) => !live.has(runId)).map((orphan) => endOrphan(leader, orphan)));
}

async function endOrphan(leader: Leader, { state, jobName }: Observation): Promise<void> {
  if (state === "ended") await leader.launcher.remove(jobName);
  else await leader.launcher.stop(jobName, "no live run", { atOnce: true });
}

async function rest(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await delay(ms, undefined, { signal }).catch(() => undefined);
}

function isSettleable(action: Action<SettleableRun>): action is Settleable {
  return action.kind.startsWith("settle");
}

function isOther(action: Action<SettleableRun>): action is OtherAction {
  return !isSettleable(action);
}
