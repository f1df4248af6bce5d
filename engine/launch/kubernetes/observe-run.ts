/**
 * What the Job and the pods of a run come to. Pure: no I/O, no clock.
 *
 * A run has ended, and its slot is free, only when no pod of it can still be working: every pod has a final
 * phase, was never given to a node, or is on a node that is silent past the pod's own deadline and grace,
 * which a kubelet keeps without the API server too.
 */
import { jobEnd, type JobEnd, type Observation } from "../../domain/job.ts";
import { endOfPod, givenUpAs } from "./pod-end.ts";
import type { SeenJob, SeenPod } from "./seen.ts";
import { problemOf, type GivenUp, type PodProblem } from "./stuck-pod.ts";

/** Everything that is seen of a run; at least one of both. */
export interface SeenRun {
  runId: string;
  job: SeenJob | null;
  pods: SeenPod[];
}

export interface ObservedRun {
  observation: Observation;
  /** It will never begin by itself: to be given up with this code and sentence. */
  hopeless: GivenUp | null;
}

export interface Patience {
  /** After so long without its image or configuration a run is hopeless. */
  stuckAfterMs: number;
}

/** For clocks that differ and a kubelet that is late. */
const SILENT_NODE_MS = 120_000;

/** Within so long a Job has a pod, unless somebody refuses it. */
const SOON_MS = 3_000;

/** Within so long even busy controllers give a Job its pod. */
const NO_POD_MS = 30_000;

/** How long a Job that is being deleted is given to show a pod that we have not seen yet. */
const DELETED_JOB_MS = 10_000;

/** Whether to ask why the run has no pod: its Job should have one by now. */
export function shouldHavePod({ job, pods }: SeenRun, now: number): boolean {
  if (job === null || pods.length > 0 || job.suspended) return false;
  return job.finished === null && job.deletedAt === null && now - job.createdAt > SOON_MS;
}

/** @param refusal why its Job has no pod, where somebody has said so */
export function observeRun(
  run: SeenRun,
  now: number,
  patience: Patience,
  refusal: PodProblem | null = null,
): ObservedRun {
  const pods = run.pods.toSorted((a, b) => a.createdAt - b.createdAt || a.version - b.version);
  const alive = pods.find((pod) => !isOver(pod, now));
  if (alive !== undefined) return observeLivePod(run, alive, now, patience);
  const last = pods.at(-1);
  if (last !== undefined) return ended(run, last.name, endOfPod(last, run.job, isSilent(last, now)));
  return observeJobWithoutPods(run, now, { patience, refusal });
}

/** Whether nothing of the pod can be working any more. */
function isOver(pod: SeenPod, now: number): boolean {
  if (pod.phase === "Succeeded" || pod.phase === "Failed") return true;
  // No node ever gets a pod that is being deleted.
  if (pod.nodeName === null) return pod.deletedAt !== null;
  return isSilent(pod, now);
}

/** A kubelet that lives would have ended the pod, and said so. */
function isSilent(pod: SeenPod, now: number): boolean {
  if (pod.phase === "Succeeded" || pod.phase === "Failed" || pod.nodeName === null) return false;
  const since = pod.startedAt ?? pod.scheduledAt ?? pod.createdAt;
  return now > since + pod.deadlineMs + pod.graceMs + SILENT_NODE_MS;
}

function observeLivePod(run: SeenRun, pod: SeenPod, now: number, patience: Patience): ObservedRun {
  const running = pod.containers.findLast(({ state }) => state === "running");
  const begun = running ?? pod.containers.findLast(({ state }) => state === "terminated");
  const problem = problemOf(pod);
  return {
    observation: {
      ...known(run, pod.name),
      state: begun === undefined ? "starting" : "running",
      phase: running?.phase ?? null,
      ...(problem === null ? {} : { waiting: problem.sentence }),
      end: null,
    },
    hopeless: pod.deletedAt === null ? hopelessness(problem, now, patience) : null,
  };
}

/** Why to give the run up now; null: it may still begin. */
function hopelessness(problem: PodProblem | null, now: number, { stuckAfterMs }: Patience): GivenUp | null {
  if (problem?.givenUp === undefined || now - problem.sinceMs <= stuckAfterMs) return null;
  return problem.givenUp;
}

function observeJobWithoutPods(
  run: SeenRun,
  now: number,
  { patience, refusal }: { patience: Patience; refusal: PodProblem | null },
): ObservedRun {
  const { job } = run;
  if (job?.finished?.as === "Failed") {
    const givenUp = givenUpAs(job);
    // Whoever gives up a run without a pod ends its Job by a deadline.
    if (givenUp !== null) return ended(run, null, jobEnd({ infrastructure: givenUp }));
    const late = job.finished.reason === "DeadlineExceeded";
    return ended(run, null, jobEnd(late ? { deadlineExceeded: true } : { gone: "deleted" }));
  }
  if (job?.finished?.as === "Complete") return ended(run, null, jobEnd({}));
  if (job === null || (job.deletedAt !== null && now - job.deletedAt > DELETED_JOB_MS)) {
    return ended(run, null, jobEnd({ gone: "deleted" }));
  }
  const waiting = waitOfJob(job, now, refusal);
  return {
    observation: {
      ...known(run, null),
      state: "starting",
      phase: null,
      ...(waiting === null ? {} : { waiting }),
      end: null,
    },
    hopeless: job.suspended || job.deletedAt !== null ? null : hopelessness(refusal, now, patience),
  };
}

function waitOfJob({ name, suspended, createdAt }: SeenJob, now: number, refusal: PodProblem | null): string | null {
  if (suspended) return "Its Job is suspended: resume it, or let the queue it is in admit it.";
  if (refusal !== null) return refusal.sentence;
  if (now - createdAt < NO_POD_MS) return null;
  return `Its Job has no pod yet: the cluster's controllers are late, or refuse it (kubectl describe job ${name} says which).`;
}

function ended(run: SeenRun, podName: string | null, end: JobEnd): ObservedRun {
  return { observation: { ...known(run, podName), state: "ended", phase: null, end }, hopeless: null };
}

function known({ runId, job, pods }: SeenRun, podName: string | null) {
  return { runId, jobName: job?.name ?? pods[0]?.jobName ?? "", podName };
}
