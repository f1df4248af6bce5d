/** Every pod of a namespace whenever it may have changed: list, then watch from there, again and again. */
import { setTimeout as delay } from "node:timers/promises";
import { Watch, type V1Pod } from "@kubernetes/client-node";
import type { Clients } from "./clients.ts";

const RETRY_MS = 100;

export interface PodWatch {
  readonly namespace: string;
  /** May hear of the same state more than once; whatever a watch missed comes with the next list. */
  readonly see: (pod: V1Pod) => void;
  readonly signal: AbortSignal;
}

/** Resolves when the signal is given, and not before. */
export async function watchPods(clients: Clients, { namespace, see, signal }: PodWatch): Promise<void> {
  while (!signal.aborted) {
    try {
      const { items, metadata } = await clients.core.listNamespacedPod({ namespace });
      for (const pod of items) see(pod);
      await watchFrom(clients, { namespace, see, signal, resourceVersion: metadata?.resourceVersion });
    } catch {
      // Nobody answers just now.
      await delay(RETRY_MS, undefined, { signal }).catch(() => {});
    }
  }
}

/** Resolves when the watch has ended, for whatever reason. */
async function watchFrom(
  clients: Clients,
  { namespace, see, signal, resourceVersion }: PodWatch & { resourceVersion: string | undefined },
): Promise<void> {
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const onEvent = (type: string, pod: V1Pod): void => {
    if (type === "ADDED" || type === "MODIFIED") see(pod);
  };
  const path = `/api/v1/namespaces/${namespace}/pods`;
  const request = await new Watch(clients.config).watch(path, { resourceVersion }, onEvent, () => end());
  const abort = (): void => request.abort();
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  await ended;
  signal.removeEventListener("abort", abort);
}
