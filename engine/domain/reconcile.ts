/**
 * Compares the live runs of the database with the jobs of the launcher and says what to do. Pure: the
 * executor makes no choices.
 */
import type { Observation } from "./job.ts";

/** What the planner needs to know of a live run. */
export interface LiveRun {
  id: string;
  jobName: string;
  host: string | null;
  podName: string | null;
  launched: boolean;
  stopRequested: boolean;
  /** What is noted of its job's wait. */
  waitingFor: string | null;
  /** Its report is stored. */
  reported: boolean;
  /** Since its task was settled from its report, in ms; null: it was not. */
  settledForMs: number | null;
}

/** A run whose task is settled ends by itself, so it is left so long before it is stopped. */
const PATIENCE_WITH_SETTLED_MS = 60_000;

export type Action<Run extends LiveRun> =
  /** The job has ended: write its outcome. */
  | { kind: "settle"; run: Run; observation: Observation }
  /** Its report is in, its job still ending: the result need not wait, the slot must. */
  | { kind: "settle_report"; run: Run; podName: string | null }
  /** The job existed and is gone without a trace. */
  | { kind: "settle_missing"; run: Run }
  /** Stopped before it ever had a job. */
  | { kind: "settle_unlaunched"; run: Run }
  /** The job exists, the row does not say so yet: the engine that made it died in between. */
  | { kind: "mark_launched"; run: Run; podName: string | null }
  | { kind: "note_waiting"; run: Run; waitingFor: string | null }
  | { kind: "stop"; run: Run }
  /** A job without a live run: whoever finds it, checks the database once more before it acts. */
  | { kind: "end_orphan"; observation: Observation };

export interface World<Run extends LiveRun> {
  /** Read before `observations`: a job that was made in between has no run here and shows as an orphan at most. */
  runs: readonly Run[];
  observations: readonly Observation[];
  /** Runs that this engine is launching right now: their job may appear at any moment, and it will be noted. */
  launching: ReadonlySet<string>;
  /** The launcher's: runs of another host are not judged here. */
  host: string | null;
}

/** The actions that bring both worlds together, in no particular order; each may be repeated without harm. */
export function planReconcile<Run extends LiveRun>(world: World<Run>): Action<Run>[] {
  const seen = new Map(world.observations.map((observation) => [observation.runId, observation]));
  const live = new Set(world.runs.map((run) => run.id));
  const actions: Action<Run>[] = [];
  for (const run of world.runs) {
    if (run.host !== world.host) continue;
    const observation = seen.get(run.id);
    if (observation === undefined) {
      if (world.launching.has(run.id)) continue;
      if (run.launched || run.reported) actions.push({ kind: "settle_missing", run });
      else if (run.stopRequested) actions.push({ kind: "settle_unlaunched", run });
      continue;
    }
    if (observation.state === "ended") {
      actions.push({ kind: "settle", run, observation });
      continue;
    }
    if (run.stopRequested) {
      if ((run.settledForMs ?? Infinity) > PATIENCE_WITH_SETTLED_MS) actions.push({ kind: "stop", run });
    } else if (run.reported) {
      actions.push({ kind: "settle_report", run, podName: observation.podName });
    }
    const waitingFor = observation.waiting ?? null;
    if (waitingFor !== run.waitingFor) actions.push({ kind: "note_waiting", run, waitingFor });
    if ((!run.launched || run.podName !== observation.podName) && !world.launching.has(run.id)) {
      actions.push({ kind: "mark_launched", run, podName: observation.podName });
    }
  }
  for (const observation of world.observations) {
    if (!live.has(observation.runId)) actions.push({ kind: "end_orphan", observation });
  }
  return actions;
}
