/**
 * What a kubelet would say of a pod at the moments of its life that matter, as a pure function from pod and moment to
 * its status. Shapes and words as Kubernetes 1.36 writes them for a pod whose `restartPolicy` is Never.
 *
 * Containers are spoken of in one row, init containers first: all before the one that is named have ended with 0.
 */
import type { V1ContainerState, V1ContainerStatus, V1Pod, V1PodCondition, V1PodStatus } from "@kubernetes/client-node";

/** A moment in a pod's life; made by the functions below. */
export interface Moment {
  readonly phase: "Pending" | "Running" | "Succeeded" | "Failed";
  /** Where the row of containers stands: null before the first, and at the end of it all. */
  readonly container: string | null;
  /** The state of that container. */
  readonly state?: V1ContainerState;
  /** Why the pod as a whole has ended. */
  readonly reason?: string;
  readonly message?: string;
  /** The node ended it: a disruption, as a `podFailurePolicy` sees it. */
  readonly disruption?: boolean;
}

/** The pod has a node; none of its containers has begun. */
export function accepted(): Moment {
  return { phase: "Pending", container: null };
}

export function running(container: string): Moment {
  return { phase: "Running", container, state: { running: {} } };
}

/** All containers have ended with 0. */
export function succeeded(): Moment {
  return { phase: "Succeeded", container: null };
}

/** `message` is what the container left in its termination log. */
export function failed(container: string, exitCode: number, message?: string): Moment {
  return ended(container, { exitCode, reason: "Error", ...(message === undefined ? {} : { message }) });
}

export function oomKilled(container: string): Moment {
  return ended(container, { exitCode: 137, reason: "OOMKilled" });
}

/** The node ran out of memory or disk while `container` ran. */
export function evicted(container: string): Moment {
  const message = "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 512Mi.";
  return endedByNode(container, { reason: "Evicted", message, disruption: true });
}

/** `activeDeadlineSeconds` of the pod has passed. */
export function deadlineExceeded(container: string): Moment {
  const message = "Pod was active on the node longer than the specified deadline";
  return endedByNode(container, { reason: "DeadlineExceeded", message });
}

/** The node went down in good order. */
export function nodeShutdown(container: string): Moment {
  const message = "Pod was terminated in response to imminent node shutdown.";
  return endedByNode(container, { reason: "Terminated", message, disruption: true });
}

/** It was deleted, and what ran in it has been ended by SIGTERM. */
export function terminated(pod: V1Pod): Moment {
  const all = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
  const endedWell = statusesOf(pod).filter(({ state }) => state?.terminated?.exitCode === 0);
  const current = all.find(({ name }) => !endedWell.some((status) => status.name === name)) ?? all.at(-1);
  return failed(current?.name ?? "", 143);
}

/** Never ends by itself. */
export function imagePullBackOff(container: string): Moment {
  return waiting(container, {
    reason: "ImagePullBackOff",
    message: 'Back-off pulling image "nowhere.invalid/worker:1"',
  });
}

/** A Secret or a key of it that a container needs is not there. Never ends by itself. */
export function configError(container: string): Moment {
  return waiting(container, { reason: "CreateContainerConfigError", message: 'secret "claude" not found' });
}

function waiting(container: string, state: { reason: string; message: string }): Moment {
  return { phase: "Pending", container, state: { waiting: state } };
}

function ended(container: string, terminated: { exitCode: number; reason: string; message?: string }): Moment {
  return { phase: "Failed", container, state: { terminated } };
}

function endedByNode(container: string, why: Pick<Moment, "reason" | "message" | "disruption">): Moment {
  return { ...ended(container, { exitCode: 137, reason: "Error" }), ...why };
}

/** The status of `pod` at that moment. What others say of the pod (the scheduler's condition) is kept. */
export function statusAt(pod: V1Pod, moment: Moment, now: Date): V1PodStatus {
  const init = (pod.spec?.initContainers ?? []).map(({ name, image }) => ({ name, image: image ?? "" }));
  const main = (pod.spec?.containers ?? []).map(({ name, image }) => ({ name, image: image ?? "" }));
  const all = [...init, ...main];
  const position = positionOf(moment, all);
  const statuses = all.map((container, index): V1ContainerStatus => {
    const sideBySide = index >= init.length && position >= init.length && moment.phase === "Running";
    const state = stateAt({ index, position, sideBySide, isInit: position < init.length }, moment);
    const before = statusesOf(pod).find(({ name }) => name === container.name);
    return {
      ...container,
      imageID: "",
      restartCount: 0,
      ready: state.running !== undefined,
      started: state.running !== undefined,
      state: withTimes(state, { before: before?.state, now }),
    };
  });
  return {
    phase: moment.phase,
    startTime: pod.status?.startTime ?? now,
    ...(moment.reason === undefined ? {} : { reason: moment.reason }),
    ...(moment.message === undefined ? {} : { message: moment.message }),
    conditions: conditionsAt(pod, { moment, initialized: position >= init.length, now }),
    initContainerStatuses: statuses.slice(0, init.length),
    containerStatuses: statuses.slice(init.length),
  };
}

/** How many containers of the row have ended with 0. */
function positionOf(moment: Moment, all: readonly { name: string }[]): number {
  if (moment.phase === "Succeeded") return all.length;
  if (moment.container === null) return 0;
  const position = all.findIndex(({ name }) => name === moment.container);
  if (position === -1) throw new Error(`the pod has no container ${moment.container}`);
  return position;
}

interface Place {
  readonly index: number;
  readonly position: number;
  /** A main container beside the one that runs: the kubelet starts them together. */
  readonly sideBySide: boolean;
  readonly isInit: boolean;
}

function stateAt({ index, position, sideBySide, isInit }: Place, moment: Moment): V1ContainerState {
  if (index < position) return { terminated: { exitCode: 0, reason: "Completed" } };
  if (index === position && moment.state !== undefined) return moment.state;
  if (sideBySide) return { running: {} };
  return { waiting: { reason: isInit ? "PodInitializing" : "ContainerCreating" } };
}

function statusesOf({ status }: V1Pod): V1ContainerStatus[] {
  return [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
}

/** What has been said before of a start or an end stays. */
function withTimes(state: V1ContainerState, at: { before: V1ContainerState | undefined; now: Date }): V1ContainerState {
  const { before, now } = at;
  const startedAt = before?.running?.startedAt ?? before?.terminated?.startedAt ?? now;
  if (state.running !== undefined) return { running: { startedAt } };
  if (state.terminated === undefined) return state;
  return { terminated: { ...state.terminated, startedAt, finishedAt: before?.terminated?.finishedAt ?? now } };
}

function conditionsAt(pod: V1Pod, at: { moment: Moment; initialized: boolean; now: Date }): V1PodCondition[] {
  const { moment, initialized, now } = at;
  const ready = moment.phase === "Running" && initialized;
  const said: Record<string, { status: boolean; reason?: string }> = {
    Initialized: { status: initialized, ...(initialized ? {} : { reason: "ContainersNotInitialized" }) },
    Ready: { status: ready, ...(ready ? {} : { reason: readyReason(moment) }) },
    ContainersReady: { status: ready, ...(ready ? {} : { reason: readyReason(moment) }) },
    PodScheduled: { status: true },
    ...(moment.disruption === true ? { DisruptionTarget: { status: true, reason: "TerminationByKubelet" } } : {}),
  };
  const others = (pod.status?.conditions ?? []).filter(({ type }) => said[type] === undefined);
  const mine = Object.entries(said).map(([type, { status, reason }]) => {
    const word = status ? "True" : "False";
    const before = pod.status?.conditions?.find((condition) => condition.type === type && condition.status === word);
    const lastTransitionTime = before?.lastTransitionTime ?? now;
    return { type, status: word, lastTransitionTime, ...(reason === undefined ? {} : { reason }) };
  });
  return [...others, ...mine];
}

function readyReason({ phase }: Moment): string {
  if (phase === "Succeeded") return "PodCompleted";
  return phase === "Failed" ? "PodFailed" : "ContainersNotReady";
}
