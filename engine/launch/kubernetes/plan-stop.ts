/**
 * What is to be done for a run that is to be stopped: its pod is asked, so that publish keeps what the agent leaves, or
 * its Job is deleted. Pure.
 *
 * Nothing is remembered: when the pod was asked stands in its annotation, so any engine goes on where another left off.
 */
import type { SeenRun } from "./observe-run.ts";
import type { SeenPod } from "./seen.ts";

/**
 * What a pod gets from the question to its end: the kubelet shows it the file, the agent ends, publish begins, and, as
 * with the process launcher, has a minute.
 */
export const KEEP_LIMIT_MS = 90_000;

export type StopStep =
  /** Ask this pod: it may have something to keep. */
  | { kind: "ask"; pod: SeenPod }
  /** It was asked, and has time left. */
  | { kind: "wait" }
  /** There is nothing to keep, or its time is up. */
  | { kind: "delete" };

/** @param limitMs what a pod gets from the question to its end */
export function planStop({ job, pods }: SeenRun, now: number, limitMs: number): StopStep {
  const [pod, ...others] = pods.filter(({ phase }) => phase !== "Succeeded" && phase !== "Failed");
  if (job === null || job.deletedAt !== null || pod === undefined || others.length > 0) return { kind: "delete" };
  if (!mayLeaveWork(pod)) return { kind: "delete" };
  if (pod.stopAskedAt === null) return { kind: "ask", pod };
  // A time that lies ahead is of another clock, or somebody's edit: it does not hold the slot for longer either.
  return { kind: Math.abs(now - pod.stopAskedAt) <= limitMs ? "wait" : "delete" };
}

/** Whether its agent has begun and nobody else is ending it. */
function mayLeaveWork({ deletedAt, disruption, containers }: SeenPod): boolean {
  if (deletedAt !== null || disruption !== null) return false;
  return containers.some(({ phase, state }) => phase === "agent" && state !== "waiting");
}
