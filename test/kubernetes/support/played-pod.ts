/** Plays the kubelet for one pod: binds it to a node, and says through the status subresource what becomes of it. */
import { PatchStrategy, setHeaderOptions, type V1Pod } from "@kubernetes/client-node";
import { eventually } from "../../support/waiting.ts";
import type { Clients } from "./clients.ts";
import { statusAt, type Moment } from "./pod-moments.ts";

const MERGE = setHeaderOptions("Content-Type", PatchStrategy.MergePatch);
const HOLDING_FINALIZER = "myzel.test/held";

export interface PodKey {
  readonly namespace: string;
  readonly name: string;
}

export function podKey(pod: V1Pod): PodKey {
  return { namespace: pod.metadata?.namespace ?? "", name: pod.metadata?.name ?? "" };
}

/** The pod that the Job controller makes for a Job; waits for it. */
export async function podOfJob(clients: Clients, job: { namespace: string; name: string }): Promise<V1Pod> {
  const labelSelector = `batch.kubernetes.io/job-name=${job.name}`;
  return eventually(`the Job ${job.name} has a pod`, async () => {
    const { items } = await clients.core.listNamespacedPod({ namespace: job.namespace, labelSelector });
    return items[0];
  });
}

/** What the scheduler would do. */
export async function bindPod(clients: Clients, pod: V1Pod, node: { readonly name: string }): Promise<void> {
  const key = podKey(pod);
  const target = { apiVersion: "v1", kind: "Node", name: node.name };
  await clients.core.createNamespacedPodBinding({ ...key, body: { metadata: { name: key.name }, target } });
}

/** The pod as it is once its kubelet has said that it has come to `moment`. */
export async function bringPodTo(clients: Clients, pod: V1Pod, moment: Moment): Promise<V1Pod> {
  const body = { status: statusAt(pod, moment, new Date()) };
  return clients.core.patchNamespacedPodStatus({ ...podKey(pod), body }, MERGE);
}

/** Whoever deletes the pod from now on finds it terminating for ever, until `removePod` (remove-pods.ts). */
export async function holdPod(clients: Clients, pod: V1Pod): Promise<void> {
  const finalizers = [...(pod.metadata?.finalizers ?? []), HOLDING_FINALIZER];
  await clients.core.patchNamespacedPod({ ...podKey(pod), body: { metadata: { finalizers } } }, MERGE);
}
