/** Removes pods for which no kubelet answers: at once, whatever holds them. */
import { PatchStrategy, setHeaderOptions, type V1Pod } from "@kubernetes/client-node";
import { unlessNotFound, type Clients } from "./clients.ts";

const AT_ONCE = 20;

/** Removes all pods of a namespace, finalizers and grace periods ignored. */
export async function removePods(clients: Clients, namespace: string): Promise<void> {
  const { items } = await clients.core.listNamespacedPod({ namespace });
  const left = [...items];
  const remover = async (): Promise<void> => {
    for (let pod = left.pop(); pod !== undefined; pod = left.pop()) await removePod(clients, pod);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, remover));
}

/** Removes one pod, its finalizers and grace period ignored. */
export async function removePod(clients: Clients, pod: V1Pod): Promise<void> {
  const key = { name: pod.metadata?.name ?? "", namespace: pod.metadata?.namespace ?? "" };
  if ((pod.metadata?.finalizers ?? []).length > 0) {
    const merge = setHeaderOptions("Content-Type", PatchStrategy.MergePatch);
    const body = { metadata: { finalizers: null } };
    await unlessNotFound(clients.core.patchNamespacedPod({ ...key, body }, merge));
  }
  await unlessNotFound(clients.core.deleteNamespacedPod({ ...key, gracePeriodSeconds: 0 }));
}
