/**
 * Why a pod does not go on, and whether it ever will. Pure.
 *
 * An image or a configuration that is missing never ends by itself: the launcher gives the run up after a
 * set time. A pod that no node has room for waits; that is what a full cluster is.
 */
import type { InfrastructureCode } from "../../domain/job.ts";
import type { SeenContainer, SeenPod } from "./seen.ts";

/** Why a run is given up. Stored as an annotation on its Job before its pod is deleted. */
export interface GivenUp {
  code: InfrastructureCode;
  error: string;
}

export interface PodProblem {
  /** For people who ask why nothing happens. */
  sentence: string;
  sinceMs: number;
  /** Set where waiting will not help. */
  givenUp?: GivenUp;
}

const IMAGE_REASONS = new Set([
  "ErrImagePull",
  "ImagePullBackOff",
  "InvalidImageName",
  "ErrImageNeverPull",
  "ImageInspectError",
  "RegistryUnavailable",
  "SignatureValidationFailed",
]);

const CONFIGURATION_REASONS = new Set([
  "CreateContainerConfigError",
  "CreateContainerError",
  "RunContainerError",
  "PreCreateHookError",
  "CrashLoopBackOff",
]);

export function problemOf(pod: SeenPod): PodProblem | null {
  if (pod.unschedulable !== null) {
    return { sentence: `No node has room for its pod: ${pod.unschedulable}`, sinceMs: pod.createdAt };
  }
  const waiting = pod.containers.find(({ state, reason }) => state === "waiting" && codeOf(reason) !== null);
  const code = waiting === undefined ? null : codeOf(waiting.reason);
  if (waiting === undefined || code === null) return null;
  const error = sentenceOf(waiting, code);
  return { sentence: error, sinceMs: beganToWait(pod), givenUp: { code, error } };
}

/** What `givenUp` was stored as; unreadable text is still a reason. */
export function parseGivenUp(text: string): GivenUp {
  try {
    const { code, error } = JSON.parse(text) as Partial<GivenUp>;
    if (typeof code === "string" && typeof error === "string") return { code, error };
  } catch {
    // Somebody edited it.
  }
  return { code: "launch_failed", error: "The run was given up." };
}

function codeOf(reason: string): InfrastructureCode | null {
  if (IMAGE_REASONS.has(reason)) return "image_pull_failed";
  return CONFIGURATION_REASONS.has(reason) ? "launch_failed" : null;
}

function sentenceOf({ phase, reason, message }: SeenContainer, code: InfrastructureCode): string {
  const what = code === "image_pull_failed" ? `The image of ${phase} cannot be had` : `${phase} cannot be started`;
  return `${what} (${reason}${message === "" ? "" : `: ${message}`}).`;
}

/** A container's wait carries no time: it began when the one before had ended, or the node took the pod. */
function beganToWait(pod: SeenPod): number {
  const ends = pod.containers.map(({ finishedAt }) => finishedAt ?? 0);
  return Math.max(pod.startedAt ?? pod.createdAt, ...ends);
}
