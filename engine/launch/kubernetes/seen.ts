/**
 * What is kept of Jobs and Pods: the few fields that an observation depends on. Pure.
 *
 * The API's objects are ten times as large; ten thousand live runs have to fit into memory.
 */
import { PHASES, type Phase } from "../../../worker-image/contract.ts";
import { ANNOTATIONS, LABELS } from "./labels.ts";

export interface SeenObject {
  uid: string;
  name: string;
  runId: string;
  /** The object's resourceVersion: rises with every change. */
  version: number;
  createdAt: number;
  /** When its deletion was asked for, in epoch milliseconds; null: it was not. */
  deletedAt: number | null;
}

export interface SeenJob extends SeenObject {
  suspended: boolean;
  finished: { as: "Complete" | "Failed"; reason: string; message: string } | null;
  /** The launcher's own mark on a run that it gave up. */
  givenUp: string | null;
}

export interface SeenPod extends SeenObject {
  jobName: string;
  nodeName: string | null;
  phase: string;
  reason: string;
  message: string;
  /** When the kubelet took it; null: it has not. */
  startedAt: number | null;
  scheduledAt: number | null;
  deadlineMs: number;
  graceMs: number;
  /** The condition DisruptionTarget: somebody of the cluster ended it. */
  disruption: { reason: string; message: string } | null;
  unschedulable: string | null;
  /** When it was asked to stop and keep what it leaves; null: it was not. */
  stopAskedAt: number | null;
  /** In the order of the phases. */
  containers: SeenContainer[];
}

export interface SeenContainer {
  phase: Phase;
  state: "waiting" | "running" | "terminated";
  reason: string;
  message: string;
  exitCode: number;
  finishedAt: number | null;
}

interface Condition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
}

interface Metadata {
  uid: string;
  name: string;
  resourceVersion: string;
  creationTimestamp: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

export interface JobJson {
  metadata: Metadata;
  spec: { suspend?: boolean };
  status?: { conditions?: Condition[] };
}

interface ContainerStatus {
  name: string;
  state?: {
    waiting?: { reason?: string; message?: string };
    running?: object;
    terminated?: { exitCode: number; reason?: string; message?: string; finishedAt?: string | null };
  };
}

export interface PodJson {
  metadata: Metadata;
  spec: { nodeName?: string; activeDeadlineSeconds?: number; terminationGracePeriodSeconds?: number };
  status?: {
    phase?: string;
    reason?: string;
    message?: string;
    startTime?: string;
    conditions?: Condition[];
    initContainerStatuses?: ContainerStatus[];
    containerStatuses?: ContainerStatus[];
  };
}

/** Bytes of a termination message that are kept: what a phase may leave there. */
const MAX_MESSAGE_CHARS = 4096;

export function seenJob(job: JobJson): SeenJob {
  const finished = job.status?.conditions?.find(
    ({ type, status }) => (type === "Complete" || type === "Failed") && status === "True",
  );
  return {
    ...seenObject(job.metadata),
    suspended: job.spec.suspend === true,
    finished:
      finished === undefined
        ? null
        : {
            as: finished.type as "Complete" | "Failed",
            reason: finished.reason ?? "",
            message: finished.message ?? "",
          },
    givenUp: job.metadata.annotations?.[ANNOTATIONS.givenUp] ?? null,
  };
}

export function seenPod(pod: PodJson): SeenPod {
  const { spec, status = {} } = pod;
  const scheduled = status.conditions?.find(({ type }) => type === "PodScheduled");
  const disruption = status.conditions?.find((one) => one.type === "DisruptionTarget" && one.status === "True");
  const statuses = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  return {
    ...seenObject(pod.metadata),
    jobName: pod.metadata.labels?.["batch.kubernetes.io/job-name"] ?? "",
    nodeName: spec.nodeName ?? null,
    phase: status.phase ?? "Pending",
    reason: status.reason ?? "",
    message: (status.message ?? "").slice(0, MAX_MESSAGE_CHARS),
    startedAt: timeOf(status.startTime),
    scheduledAt: scheduled?.status === "True" ? timeOf(scheduled.lastTransitionTime) : null,
    deadlineMs: (spec.activeDeadlineSeconds ?? Infinity) * 1000,
    graceMs: (spec.terminationGracePeriodSeconds ?? 30) * 1000,
    disruption:
      disruption === undefined ? null : { reason: disruption.reason ?? "", message: disruption.message ?? "" },
    // The scheduler's word may come after somebody else has bound the pod.
    unschedulable:
      scheduled?.status === "False" && spec.nodeName === undefined
        ? (scheduled.message ?? scheduled.reason ?? "")
        : null,
    stopAskedAt: timeOf(pod.metadata.annotations?.[ANNOTATIONS.stop]),
    containers: PHASES.flatMap((phase) => {
      const found = statuses.find(({ name }) => name === phase);
      return found === undefined ? [] : [seenContainer(phase, found)];
    }),
  };
}

function seenObject(metadata: Metadata): SeenObject {
  const deletion = timeOf(metadata.deletionTimestamp);
  return {
    uid: metadata.uid,
    name: metadata.name,
    runId: metadata.labels?.[LABELS.run] ?? "",
    version: Number(metadata.resourceVersion),
    createdAt: timeOf(metadata.creationTimestamp) ?? 0,
    // The timestamp says when the grace period is over.
    deletedAt: deletion === null ? null : deletion - (metadata.deletionGracePeriodSeconds ?? 0) * 1000,
  };
}

function seenContainer(phase: Phase, { state = {} }: ContainerStatus): SeenContainer {
  const { running, terminated, waiting } = state;
  return {
    phase,
    state: terminated !== undefined ? "terminated" : running !== undefined ? "running" : "waiting",
    reason: terminated?.reason ?? waiting?.reason ?? "",
    message: (terminated?.message ?? waiting?.message ?? "").slice(0, MAX_MESSAGE_CHARS),
    exitCode: terminated?.exitCode ?? 0,
    finishedAt: timeOf(terminated?.finishedAt ?? undefined),
  };
}

function timeOf(text: string | undefined): number | null {
  const time = text === undefined ? NaN : Date.parse(text);
  return Number.isNaN(time) ? null : time;
}
