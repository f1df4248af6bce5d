/**
 * How a run ended, told from its last pod. Pure.
 *
 * What the phases said by their exit codes counts unless somebody else ended the pod: then it is that.
 */
import { jobEnd, type InfrastructureCode, type JobEnd, type PhaseEnd } from "../../domain/job.ts";
import type { SeenJob, SeenPod } from "./seen.ts";
import { parseGivenUp, type GivenUp } from "./stuck-pod.ts";

/** @param isSilent its node has not been heard of past the pod's deadline */
export function endOfPod(pod: SeenPod, job: SeenJob | null, isSilent: boolean): JobEnd {
  const known = { phases: phasesOf(pod), stopped: pod.stopAskedAt !== null };
  if (pod.phase === "Succeeded") return jobEnd(known);
  if (pod.reason === "DeadlineExceeded") return jobEnd({ ...known, deadlineExceeded: true });
  const infrastructure = givenUpAs(job) ?? infrastructureOf(pod, isSilent);
  if (infrastructure !== null) return jobEnd({ ...known, infrastructure });
  if (wasDeleted(pod)) return jobEnd({ ...known, gone: "deleted" });
  const last = pod.containers.findLast(({ state }) => state === "terminated");
  return jobEnd({ ...known, outOfMemory: last?.reason === "OOMKilled" });
}

/** Why this launcher gave the run up; null: it did not. */
export function givenUpAs(job: SeenJob | null): GivenUp | null {
  return job === null || job.givenUp === null ? null : parseGivenUp(job.givenUp);
}

function phasesOf(pod: SeenPod): PhaseEnd[] {
  return pod.containers
    .filter(({ state }) => state === "terminated")
    .map(({ phase, exitCode, message }) => ({ phase, exitCode, signal: null, message: message || null }));
}

/** The kubelet's own reasons, in `status.reason`. */
const KUBELET_REASONS: Readonly<Record<string, InfrastructureCode>> = {
  Evicted: "evicted",
  Preempting: "evicted",
  Shutdown: "evicted",
  Terminated: "evicted",
  NodeShutdown: "evicted",
  NodeLost: "node_lost",
};

/** Reasons of the condition DisruptionTarget. */
const DISRUPTIONS: Readonly<Record<string, InfrastructureCode>> = {
  DeletionByTaintManager: "node_lost",
  DeletionByPodGC: "node_lost",
  EvictionByEvictionAPI: "evicted",
  PreemptionByScheduler: "evicted",
  TerminationByKubelet: "evicted",
};

/** The kubelet took the pod and then found that it cannot: out of something, a node that does not fit. */
const REFUSED_BY_NODE =
  /^(OutOf|Unexpected|NodeAffinity|NodeName|NodePorts|UnsupportedPodAccess|Topology|PodOS|AppArmor)/i;

function infrastructureOf(pod: SeenPod, isSilent: boolean): GivenUp | null {
  const { disruption, reason, message } = pod;
  const node = pod.nodeName ?? "none";
  if (isSilent) return { code: "node_lost", error: `The node ${node} is silent past the run's deadline.` };
  const said = (text: string, fallback: string) => text || fallback;
  const byKubelet = KUBELET_REASONS[reason];
  if (byKubelet !== undefined)
    return { code: byKubelet, error: said(message, `The node ${node} ended it: ${reason}.`) };
  if (disruption !== null) {
    const code = DISRUPTIONS[disruption.reason] ?? "evicted";
    return { code, error: said(disruption.message, `The cluster ended it: ${disruption.reason}.`) };
  }
  if (pod.containers.some((one) => one.reason === "ContainerStatusUnknown")) {
    return { code: "node_lost", error: `The node ${node} lost a container of the run.` };
  }
  if (REFUSED_BY_NODE.test(reason))
    return { code: "launch_failed", error: said(message, `The node refused it: ${reason}.`) };
  return null;
}

/** Somebody deleted the pod before its last container had ended by itself. */
function wasDeleted({ deletedAt, containers, phase }: SeenPod): boolean {
  if (deletedAt === null) return false;
  const finishedAt = Math.max(...containers.map((one) => one.finishedAt ?? 0), 0);
  return phase !== "Failed" || finishedAt === 0 || finishedAt >= deletedAt;
}
