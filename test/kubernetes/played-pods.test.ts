/** The tools that play a kubelet, on the real API server with the real controllers. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { V1Job, V1Pod } from "@kubernetes/client-node";
import { eventually } from "../support/waiting.ts";
import { eachPhase, startAutoKubelet } from "./support/auto-kubelet.ts";
import { nodeThatTakesPods } from "./support/nodes-of-others.ts";
import { clientsFor, unlessNotFound, type Clients } from "./support/clients.ts";
import { startCluster } from "./support/cluster.ts";
import { freshNamespace, type FreshNamespace } from "./support/fresh-namespace.ts";
import { playedNode, type PlayedNode } from "./support/played-node.ts";
import { bindPod, bringPodTo, holdPod, podKey, podOfJob } from "./support/played-pod.ts";
import * as moments from "./support/pod-moments.ts";
import { removePod } from "./support/remove-pods.ts";
import { sampleJob } from "./support/sample-job.ts";
import { ownClusterProblem, playingProblem, sharedKubeconfig } from "./support/shared-cluster.ts";

/** The pod garbage collector looks every 20 s. */
const GARBAGE_TIMEOUT_MS = 90_000;

describe("a played kubelet", { skip: await playingProblem() }, () => {
  let clients: Clients;
  let namespace: FreshNamespace;
  let node: PlayedNode;

  before(async () => {
    clients = clientsFor(await sharedKubeconfig());
    namespace = await freshNamespace(clients, "played");
    node = await playedNode(clients);
  });
  after(async () => {
    await namespace?.remove();
    await node?.remove();
  });

  const startJob = async (name: string): Promise<V1Pod> => {
    await clients.batch.createNamespacedJob({ namespace: namespace.name, body: sampleJob(name) });
    const pod = await podOfJob(clients, { namespace: namespace.name, name });
    await bindPod(clients, pod, node);
    return pod;
  };
  const jobCondition = async (name: string): Promise<string | undefined> => {
    const job: V1Job = await clients.batch.readNamespacedJob({ namespace: namespace.name, name });
    return job.status?.conditions?.find(({ type, status }) => /^(Complete|Failed)$/.test(type) && status === "True")
      ?.type;
  };
  const readPod = (pod: V1Pod): Promise<V1Pod | undefined> =>
    unlessNotFound(clients.core.readNamespacedPod(podKey(pod)));

  test("no played node takes a pod that is not bound to it: the scheduler has none for it", async () => {
    assert.equal(await nodeThatTakesPods(clients), null);
    await clients.batch.createNamespacedJob({ namespace: namespace.name, body: sampleJob("nowhere") });
    const pod = await podOfJob(clients, { namespace: namespace.name, name: "nowhere" });
    await eventually("the scheduler has no node for it", async () =>
      (await readPod(pod))?.status?.conditions?.some(({ reason }) => reason === "Unschedulable"),
    );
  });

  test("a Job whose pod goes through its phases and succeeds is Complete", async () => {
    const pod = await startJob("done");
    const { status } = await bringPodTo(clients, pod, moments.accepted());
    assert.equal(status?.phase, "Pending");
    for (const phase of ["checkout", "agent", "publish"]) {
      const { status } = await bringPodTo(clients, pod, moments.running(phase));
      const states = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
      const runningNow = states.filter(({ state }) => state?.running !== undefined).map(({ name }) => name);
      assert.deepEqual(runningNow, [phase]);
    }
    await bringPodTo(clients, pod, moments.succeeded());
    await eventually("the Job is Complete", async () => (await jobCondition("done")) === "Complete");
  });

  const ends: Record<string, { moment: moments.Moment; reason?: string; exitCode: number; container?: string }> = {
    "an exit code": { moment: moments.failed("checkout", 20, "no such branch"), exitCode: 20, container: "Error" },
    "no memory": { moment: moments.oomKilled("agent"), exitCode: 137, container: "OOMKilled" },
    eviction: { moment: moments.evicted("agent"), exitCode: 137, reason: "Evicted" },
    "its deadline": { moment: moments.deadlineExceeded("agent"), exitCode: 137, reason: "DeadlineExceeded" },
    "the node's shutdown": { moment: moments.nodeShutdown("publish"), exitCode: 137, reason: "Terminated" },
  };
  for (const [what, { moment, reason, exitCode, container }] of Object.entries(ends)) {
    test(`a pod ended by ${what} says so, and its Job is Failed`, async () => {
      const name = `ended-by-${what.replaceAll(/[^a-z]/g, "-")}`;
      const pod = await startJob(name);
      const { status } = await bringPodTo(clients, pod, moment);
      const states = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
      const end = states.find((state) => state.name === moment.container)?.state?.terminated;
      assert.equal(status?.phase, "Failed");
      assert.equal(status.reason, reason);
      assert.equal(end?.exitCode, exitCode);
      assert.equal(end.reason, container ?? "Error");
      assert.equal(end.message, moment.state?.terminated?.message);
      await eventually("the Job is Failed", async () => (await jobCondition(name)) === "Failed");
    });
  }

  const stuck: Record<string, moments.Moment> = {
    ImagePullBackOff: moments.imagePullBackOff("checkout"),
    CreateContainerConfigError: moments.configError("agent"),
  };
  for (const [reason, moment] of Object.entries(stuck)) {
    test(`a pod in ${reason} stays Pending`, async () => {
      const pod = await startJob(reason.toLowerCase());
      const { status } = await bringPodTo(clients, pod, moment);
      const state = status?.initContainerStatuses?.find(({ name }) => name === moment.container)?.state;
      assert.equal(state?.waiting?.reason, reason);
      assert.equal(status?.phase, "Pending");
    });
  }

  test("a held pod is terminating until it is removed", async () => {
    const pod = await startJob("held");
    await holdPod(clients, pod);
    await clients.core.deleteNamespacedPod({ ...podKey(pod), gracePeriodSeconds: 0 });
    const seen = await readPod(pod);
    assert.ok(seen?.metadata?.deletionTimestamp);
    await removePod(clients, seen);
    assert.equal(await readPod(pod), undefined);
  });

  test("the pods of a lost node terminate for ever, until the node is out of service", async () => {
    const lost = await playedNode(clients);
    await clients.batch.createNamespacedJob({ namespace: namespace.name, body: sampleJob("lost") });
    const pod = await podOfJob(clients, { namespace: namespace.name, name: "lost" });
    await bindPod(clients, pod, lost);
    await bringPodTo(clients, pod, moments.running("agent"));
    await lost.lose();
    await clients.core.deleteNamespacedPod(podKey(pod));
    assert.ok((await readPod(pod))?.metadata?.deletionTimestamp);
    await lost.setOutOfService();
    await eventually("the pod is gone", async () => (await readPod(pod)) === undefined, GARBAGE_TIMEOUT_MS);
    await lost.remove();
  });
});

describe("an auto kubelet", { skip: await playingProblem() }, () => {
  let clients: Clients;
  let namespace: FreshNamespace;
  let node: PlayedNode;

  before(async () => {
    clients = clientsFor(await sharedKubeconfig());
    namespace = await freshNamespace(clients, "auto");
    node = await playedNode(clients);
  });
  after(async () => {
    await namespace?.remove();
    await node?.remove();
  });

  test("takes the pods of many Jobs to their end", async (t) => {
    const acted = new Set<string>();
    const kubelet = startAutoKubelet(clients, {
      namespace: namespace.name,
      node,
      plan: eachPhase(10),
      act: async (pod, moment) => {
        if (moment.container === "publish") acted.add(pod.metadata?.name ?? "");
      },
    });
    t.after(() => kubelet.stop());
    const names = Array.from({ length: 20 }, (_, index) => `many-${index}`);
    await Promise.all(
      names.map((name) => clients.batch.createNamespacedJob({ namespace: namespace.name, body: sampleJob(name) })),
    );
    await eventually("all Jobs are Complete", async () => {
      const { items } = await clients.batch.listNamespacedJob({ namespace: namespace.name });
      return items.filter(({ status }) => status?.succeeded === 1).length === names.length;
    });
    await kubelet.stop();
    assert.equal(kubelet.ended, names.length);
    assert.equal(acted.size, names.length);
  });

  test("lets a deleted pod end, or hang", async (t) => {
    const hang = { namespace: namespace.name, node, plan: () => [{ afterMs: 0, moment: moments.running("agent") }] };
    const kubelet = startAutoKubelet(clients, { ...hang, endsAfterMs: null });
    t.after(() => kubelet.stop());
    await clients.batch.createNamespacedJob({ namespace: namespace.name, body: sampleJob("deleted") });
    const pod = await podOfJob(clients, { namespace: namespace.name, name: "deleted" });
    const read = (): Promise<V1Pod | undefined> => unlessNotFound(clients.core.readNamespacedPod(podKey(pod)));
    await eventually("it runs", async () => (await read())?.status?.phase === "Running");
    await clients.batch.deleteNamespacedJob({
      namespace: namespace.name,
      name: "deleted",
      propagationPolicy: "Background",
    });
    await eventually("it terminates", async () => (await read())?.metadata?.deletionTimestamp);
    await kubelet.stop();
    assert.ok(await read());

    const another = startAutoKubelet(clients, hang);
    t.after(() => another.stop());
    await eventually("it is gone", async () => (await read()) === undefined);
  });
});

test(
  "an auto kubelet outlasts an API server that is stopped in the middle",
  {
    skip: await ownClusterProblem(),
  },
  async (t) => {
    const cluster = await startCluster();
    t.after(() => cluster.stop());
    const clients = clientsFor(cluster.kubeconfig);
    const { name: namespace } = await freshNamespace(clients, "outlasts");
    const node = await playedNode(clients);
    const kubelet = startAutoKubelet(clients, { namespace, node, plan: eachPhase(200) });
    t.after(() => kubelet.stop());
    for (const name of ["one", "two", "three", "four", "five"]) {
      await clients.batch.createNamespacedJob({ namespace, body: sampleJob(name) });
    }
    const pods = async (): Promise<V1Pod[]> => (await clients.core.listNamespacedPod({ namespace })).items;
    await eventually("a pod runs", async () => (await pods()).some(({ status }) => status?.phase === "Running"));
    await cluster.stopApiServer();
    await cluster.startApiServer();
    await eventually("all Jobs are Complete", async () => {
      const { items } = await clients.batch.listNamespacedJob({ namespace });
      return items.every(({ status }) => status?.succeeded === 1);
    });
    await eventually("the kubelet knows that it has ended them", () => kubelet.ended >= 5);
    assert.equal(kubelet.ended, 5);
  },
);
