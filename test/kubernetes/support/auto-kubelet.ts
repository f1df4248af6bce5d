/**
 * A kubelet for many pods: binds every pod of one namespace to a played node and takes it through its life, by a plan
 * that the test gives. It outlasts whatever happens to the API server, and ends a deleted pod as a kubelet does.
 *
 * Not kwok, which plays such nodes too: there a pod's life is a cluster-wide document, here each test has a plan of its
 * own, which may depend on the pod and do what the pod's program would have done (`act`), and nothing more is built.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { V1Pod } from "@kubernetes/client-node";
import { unlessNotFound, type Clients } from "./clients.ts";
import { Overtaken, patientCalls } from "./patient-calls.ts";
import { bindPod, bringPodTo, podKey } from "./played-pod.ts";
import { running, succeeded, terminated, type Moment } from "./pod-moments.ts";
import { watchPods } from "./watch-pods.ts";

/** So that a thousand pods do not take the API server from those who are tested. */
const CALLS_AT_ONCE = 20;

/** The pod comes to `moment` so long after it came to the one before. */
export interface Step {
  readonly afterMs: number;
  readonly moment: Moment;
}

export interface AutoKubeletOptions {
  readonly namespace: string;
  readonly node: { readonly name: string };
  /** A pod's life. One without an end stays at its last moment. Default: `eachPhase(0)`. */
  readonly plan?: (pod: V1Pod) => readonly Step[];
  /** What the pod's program does before its kubelet says that it has come to a moment. */
  readonly act?: (pod: V1Pod, moment: Moment) => Promise<void>;
  /** How long a deleted pod takes to end; null: for ever. Default 0. */
  readonly endsAfterMs?: number | null;
}

export interface AutoKubelet {
  /** How many pods it has brought to the end of their plan. */
  readonly ended: number;
  /** Leaves all pods as they are. @throws what `act` or a plan threw, or the refusal of the API server */
  stop(): Promise<void>;
}

/** Every container, one after the other, runs for so long and ends with 0. With 0 only the end is told. */
export function eachPhase(durationMs: number): (pod: V1Pod) => Step[] {
  return (pod) => {
    const end = { afterMs: durationMs, moment: succeeded() };
    if (durationMs === 0) return [end];
    const starts = containerNames(pod).map((name, index) => ({
      afterMs: index === 0 ? 0 : durationMs,
      moment: running(name),
    }));
    return [...starts, end];
  };
}

/** Begins with the pods that are there already. */
export function startAutoKubelet(clients: Clients, options: AutoKubeletOptions): AutoKubelet {
  const stopping = new AbortController();
  const lives = new Map<string, { deleted: boolean; life: AbortController; done: Promise<void> }>();
  const call = patientCalls(CALLS_AT_ONCE);
  let ended = 0;
  let broken: unknown;

  const see = (pod: V1Pod): void => {
    const uid = pod.metadata?.uid ?? "";
    const deleted = pod.metadata?.deletionTimestamp !== undefined;
    const known = lives.get(uid);
    if (known?.deleted === deleted) return;
    known?.life.abort();
    const life = new AbortController();
    const signal = AbortSignal.any([stopping.signal, life.signal]);
    const playing: Playing = { ...options, clients, signal, call: (request) => call(request, signal) };
    const work = deleted ? endPod(pod, playing) : playPod(pod, playing).then((done) => void (ended += done ? 1 : 0));
    const done = work.catch((error: unknown) => {
      if (!signal.aborted && !(error instanceof Overtaken)) broken ??= error;
    });
    lives.set(uid, { deleted, life, done });
  };
  const watching = watchPods(clients, { namespace: options.namespace, see, signal: stopping.signal });
  return {
    get ended() {
      return ended;
    },
    async stop() {
      stopping.abort();
      await watching;
      await Promise.all([...lives.values()].map(({ done }) => done));
      if (broken !== undefined) throw broken;
    },
  };
}

interface Playing extends AutoKubeletOptions {
  readonly clients: Clients;
  /** Given when the pod is deleted or the kubelet stops. */
  readonly signal: AbortSignal;
  readonly call: <T>(request: () => Promise<T>) => Promise<T>;
}

/** Whether it came to the end of its plan. */
async function playPod(pod: V1Pod, playing: Playing): Promise<boolean> {
  const { clients, call, signal, plan = eachPhase(0), act } = playing;
  if (hasEnded(pod) || !(await takePod(pod, playing))) return false;
  let now = pod;
  for (const { afterMs, moment } of plan(pod)) {
    if (afterMs > 0) await delay(afterMs, undefined, { signal });
    await act?.(now, moment);
    now = await call(() => bringPodTo(clients, now, moment));
  }
  return hasEnded(now);
}

/** Binds the pod; whether it is on this node. A binding whose answer was lost is refused the second time, and counts. */
async function takePod(pod: V1Pod, { clients, node, call }: Playing): Promise<boolean> {
  if (pod.spec?.nodeName !== undefined) return pod.spec.nodeName === node.name;
  try {
    await call(() => bindPod(clients, pod, node));
    return true;
  } catch (error) {
    if (!(error instanceof Overtaken)) throw error;
    const now = await call(() => unlessNotFound(clients.core.readNamespacedPod(podKey(pod))));
    return now?.spec?.nodeName === node.name;
  }
}

/** A deleted pod: its containers are ended, then only finalizers hold it, and who set them takes them away. */
async function endPod(pod: V1Pod, playing: Playing): Promise<void> {
  const { clients, node, call, signal, endsAfterMs = 0 } = playing;
  if (endsAfterMs === null || pod.spec?.nodeName !== node.name) return;
  if (endsAfterMs > 0) await delay(endsAfterMs, undefined, { signal });
  // It went on until the deletion was heard of, and no container that has ended is unended.
  const now = await call(() => clients.core.readNamespacedPod(podKey(pod)));
  if (!hasEnded(now)) await call(() => bringPodTo(clients, now, terminated(now)));
  const body = { gracePeriodSeconds: 0, preconditions: { uid: pod.metadata?.uid ?? "" } };
  await call(() => clients.core.deleteNamespacedPod({ ...podKey(pod), body }));
}

function containerNames(pod: V1Pod): string[] {
  return [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])].map(({ name }) => name);
}

function hasEnded({ status }: V1Pod): boolean {
  return status?.phase === "Succeeded" || status?.phase === "Failed";
}
