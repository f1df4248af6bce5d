/**
 * A Node without a machine. Its heartbeat is a real Lease, so that the controllers believe in it for as long as the test
 * says; a taint keeps the scheduler from giving it pods of other tests: pods are bound to it by hand (played-pod.ts).
 */
import { randomBytes } from "node:crypto";
import { PatchStrategy, setHeaderOptions, V1MicroTime, type V1Node, type V1Taint } from "@kubernetes/client-node";
import { unlessNotFound, type Clients } from "./clients.ts";

/** As a kubelet's; the controllers lose patience after 50 s. */
const HEARTBEAT_MS = 10_000;
const LEASES = "kube-node-lease";

const MERGE = setHeaderOptions("Content-Type", PatchStrategy.MergePatch);

export interface PlayedNode {
  readonly name: string;
  /** The machine is gone: what the node controller writes after 50 s without a heartbeat, at once. Its pods stay as they are. */
  lose(): Promise<void>;
  /** Somebody vouches that nothing runs there any more: the pod garbage collector may take its terminating pods (within 20 s). */
  setOutOfService(): Promise<void>;
  /** Deletes the Node. */
  remove(): Promise<void>;
}

/** A Ready node of its own with room for ten thousand pods. */
export async function playedNode(clients: Clients): Promise<PlayedNode> {
  const name = `played-${randomBytes(4).toString("hex")}`;
  const { core } = clients;
  const { metadata } = await core.createNode({ body: newNode(name) });
  const heart = await startHeartbeat(clients, { name, uid: metadata?.uid ?? "" });

  const addTaints = async (taints: readonly V1Taint[]): Promise<void> => {
    // The node controller writes taints too: a change of its own in between is a conflict, and then it is tried again.
    for (;;) {
      const node = await core.readNode({ name });
      const kept = (node.spec?.taints ?? []).filter((old) => !taints.some((taint) => sameTaint(old, taint)));
      const resourceVersion = node.metadata?.resourceVersion;
      const body = { metadata: { resourceVersion }, spec: { taints: [...kept, ...taints] } };
      try {
        await core.patchNode({ name, body }, MERGE);
        return;
      } catch (error) {
        if ((error as { code?: unknown }).code !== 409) throw error;
      }
    }
  };
  return {
    name,
    async lose() {
      heart.stop();
      await core.patchNodeStatus({ name, body: { status: { conditions: [readyCondition("Unknown")] } } }, MERGE);
      await addTaints([
        { key: "node.kubernetes.io/unreachable", effect: "NoSchedule" },
        { key: "node.kubernetes.io/unreachable", effect: "NoExecute" },
      ]);
    },
    async setOutOfService() {
      await addTaints([{ key: "node.kubernetes.io/out-of-service", value: "nodeshutdown", effect: "NoExecute" }]);
    },
    async remove() {
      heart.stop();
      await unlessNotFound(core.deleteNode({ name }));
    },
  };
}

function newNode(name: string): V1Node {
  const room = { cpu: "10000", memory: "40000Gi", pods: "10000", "ephemeral-storage": "40000Gi" };
  return {
    metadata: { name, labels: { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" } },
    spec: { taints: [{ key: "myzel.test/played", value: name, effect: "NoSchedule" }] },
    status: { capacity: room, allocatable: room, conditions: [readyCondition("True")] },
  };
}

function readyCondition(status: "True" | "Unknown") {
  const now = new Date();
  const [reason, message] =
    status === "True"
      ? ["KubeletReady", "kubelet is posting ready status"]
      : ["NodeStatusUnknown", "Kubelet stopped posting node status."];
  return { type: "Ready", status, reason, message, lastHeartbeatTime: now, lastTransitionTime: now };
}

function sameTaint(one: V1Taint, other: V1Taint): boolean {
  return one.key === other.key && one.effect === other.effect;
}

/** Beats while the test lives and nobody stops it; a beat that the API server does not take is left out. */
async function startHeartbeat(
  { coordination }: Clients,
  node: { name: string; uid: string },
): Promise<{ stop(): void }> {
  const { name, uid } = node;
  const lease = () => ({ holderIdentity: name, leaseDurationSeconds: 40, renewTime: new V1MicroTime() });
  const ownerReferences = [{ apiVersion: "v1", kind: "Node", name, uid }];
  await coordination.createNamespacedLease({
    namespace: LEASES,
    body: { metadata: { name, namespace: LEASES, ownerReferences }, spec: lease() },
  });
  const beat = setInterval(() => {
    coordination.patchNamespacedLease({ namespace: LEASES, name, body: { spec: lease() } }, MERGE).catch(() => {});
  }, HEARTBEAT_MS);
  beat.unref();
  return { stop: () => clearInterval(beat) };
}
