/**
 * Observe and reconcile: compares live runs with the launcher's jobs and brings them together.
 *
 * Woken by the launcher's watch and by NOTIFY; the full look every 30 s heals whatever a watch missed.
 * The plan is domain/reconcile.ts; here it is only carried out.
 */
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

type OtherAction = Exclude<Action<SettleableRun>, Settleable>;

/** @param onSettled called when runs were settled: slots are free */
export function reconcileTick(leader: Leader, onSettled: () => void): Tick {
  return async () => {
    const runs = await liveRuns(leader.database, leader.host); // before observing: see World.runs
    const observations = await leader.launcher.observe();
    const actions = planReconcile({
      runs,
      observations,
      launching: leader.launching,
      host: leader.launcher.host,
    });
    const settleables = actions.filter(isSettleable);
    const failed = await Promise.all([
      settleAll(leader, settleables).finally(() => settleables.length > 0 && onSettled()),
      ...actions.filter(isOther).map((action) => carryOut(leader, action)),
    ]);
    return failed.includes(true) ? RETRY_MS : FULL_LOOK_MS;
  };
}

/** Returns whether it failed and is to be tried again. @throws StaleEpochError */
async function carryOut(leader: Leader, action: OtherAction): Promise<boolean> {
  try {
    await execute(leader, action);
    return false;
  } catch (error) {
    if (error instanceof StaleEpochError) throw error;
    if (leader.signal.aborted) return true; // the successor goes on with it
    const run_id = "run" in action ? action.run.id : action.observation.runId;
    leader.log.error({ err: error, action: action.kind, run_id }, "reconcile failed");
    return true;
  }
}

async function execute(leader: Leader, action: OtherAction): Promise<void> {
  switch (action.kind) {
    case "mark_launched":
      await markLaunched(leader.database, leader.epoch, [{ runId: action.run.id, podName: action.podName }]);
      return;
    case "note_waiting":
      return await noteWaiting(leader.database, leader.epoch, action.run.id, action.waitingFor);
    case "stop":
      return await leader.launcher.stop(action.run.jobName, action.run.stopReason ?? "stopped");
    case "end_orphan":
      return await endOrphan(leader, action.observation);
  }
}

/** A job without a live run; the run may have been claimed after the list was read, so the database is asked again. */
async function endOrphan(leader: Leader, observation: Observation): Promise<void> {
  if ((await stillLive(leader.database, [observation.runId])).size > 0) return;
  if (observation.state === "ended") await leader.launcher.remove(observation.jobName);
  else await leader.launcher.stop(observation.jobName, "no live run");
}

function isSettleable(action: Action<SettleableRun>): action is Settleable {
  return action.kind.startsWith("settle");
}

function isOther(action: Action<SettleableRun>): action is OtherAction {
  return !isSettleable(action);
}
