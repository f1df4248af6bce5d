/** Every way a run can end or hang, staged on a real API server with its real controllers, and what is made of it. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { PatchStrategy, setHeaderOptions, type V1Pod } from "@kubernetes/client-node";
import type { Launcher, LaunchSpec, Observation } from "../../engine/launch/launcher.ts";
import { eventually } from "../support/waiting.ts";
import {
  codeOf,
  launchBound,
  newSpec,
  observationOf,
  openLauncher,
  waitForEnd,
  waitUntilGone,
} from "./launcher-support.ts";
import { clientsFor, type Clients } from "./support/clients.ts";
import { freshNamespace, type FreshNamespace } from "./support/fresh-namespace.ts";
import { playedNode, type PlayedNode } from "./support/played-node.ts";
import { bringPodTo, holdPod, podKey, podOfJob } from "./support/played-pod.ts";
import * as moments from "./support/pod-moments.ts";
import { removePod } from "./support/remove-pods.ts";
import { kubernetesProblem, sharedKubeconfig } from "./support/shared-cluster.ts";

const MERGE = setHeaderOptions("Content-Type", PatchStrategy.MergePatch);

describe("what becomes of a run on Kubernetes", { skip: await kubernetesProblem(), concurrency: 4 }, () => {
  let clients: Clients;
  let namespace: FreshNamespace;
  let node: PlayedNode;
  let launcher: Launcher;
  let impatient: Launcher;
  let stopWatching: () => Promise<void>;
  let played: { clients: Clients; namespace: string; node: PlayedNode };

  before(async () => {
    const kubeconfig = await sharedKubeconfig();
    clients = clientsFor(kubeconfig);
    namespace = await freshNamespace(clients, "outcomes");
    node = await playedNode(clients);
    played = { clients, namespace: namespace.name, node };
    const where = { kubeconfig, namespace: namespace.name };
    launcher = await openLauncher(where);
    impatient = await openLauncher(where, { instance: "impatient", stuckAfterMs: 1 });
    stopWatching = launcher.watch(() => undefined);
  });
  after(async () => {
    await stopWatching?.();
    await launcher?.close();
    await impatient?.close();
    await namespace?.remove();
    await node?.remove();
  });

  const see = (spec: LaunchSpec): Promise<Observation | undefined> => observationOf(launcher, spec);
  const waitForState = (spec: LaunchSpec, state: Observation["state"]) =>
    eventually(`the run is ${state}`, async () => {
      const seen = await see(spec);
      return seen?.state === state ? seen : null;
    });
  const ended = async (moment: moments.Moment): Promise<string | null> => {
    const { spec, pod } = await launchBound(launcher, played);
    await bringPodTo(clients, pod, moment);
    return codeOf(await waitForEnd(launcher, spec));
  };
  const deletePod = (pod: V1Pod) => clients.core.deleteNamespacedPod(podKey(pod));
  const patchJob = (spec: LaunchSpec, body: object) =>
    clients.batch.patchNamespacedJob({ namespace: namespace.name, name: spec.jobName, body }, MERGE);

  const cases: [string, moments.Moment, string][] = [
    ["checkout that ends with 20", moments.failed("checkout", 20, "There is no such branch."), "checkout_failed"],
    ["checkout that ends with 21", moments.failed("checkout", 21), "lost"],
    ["checkout that ends with 22", moments.failed("checkout", 22), "launch_failed"],
    ["an agent that ends with 30", moments.failed("agent", 30), "cost_guard"],
    ["an agent that ends with 31", moments.failed("agent", 31), "auth_failed"],
    ["an agent that crashes", moments.failed("agent", 1), "no_report"],
    ["publish that ends with 21", moments.failed("publish", 21), "lost"],
    ["publish that ends with 40", moments.failed("publish", 40), "lost"],
    ["too much memory", moments.oomKilled("agent"), "oom_killed"],
    ["an eviction", moments.evicted("agent"), "evicted"],
    ["a deadline that has passed", moments.deadlineExceeded("agent"), "deadline_exceeded"],
    ["a node that goes down in good order", moments.nodeShutdown("agent"), "evicted"],
  ];
  for (const [what, moment, code] of cases) {
    test(`${what} is ${code}`, async () => assert.equal(await ended(moment), code));
  }

  test("three phases that end with 0 are an end without a failure of their own", async () => {
    const { spec, pod } = await launchBound(launcher, played);
    for (const phase of ["checkout", "agent", "publish"] as const) {
      await bringPodTo(clients, pod, moments.running(phase));
      await eventually(`${phase} is seen`, async () => (await see(spec))?.phase === phase);
    }
    await bringPodTo(clients, pod, moments.succeeded());
    const end = await waitForEnd(launcher, spec);
    assert.deepEqual([end.phases.length, end.gone, end.infrastructure, end.outOfMemory], [3, null, null, false]);
  });

  test("a run that no node has room for waits, and says so", async () => {
    const spec = newSpec();
    await launcher.launch(spec);
    const seen = await eventually("the scheduler has given up", async () => {
      const now = await see(spec);
      return now?.waiting === undefined ? null : now;
    });
    assert.equal(seen.state, "starting");
    assert.match(seen.waiting ?? "", /^No node has room for its pod: /);
  });

  for (const [what, moment, code] of [
    ["image", moments.imagePullBackOff("checkout"), "image_pull_failed"],
    ["configuration", moments.configError("checkout"), "launch_failed"],
  ] as const) {
    test(`a run without its ${what} waits with the reason, and is given up after the set time: ${code}`, async () => {
      const patient = await launchBound(launcher, played);
      await bringPodTo(clients, patient.pod, moment);
      // The scheduler may have said something before the pod was bound.
      await eventually("the reason is seen", async () =>
        /BackOff|ConfigError/.test((await see(patient.spec))?.waiting ?? ""),
      );

      const { spec, pod } = await launchBound(impatient, played);
      await bringPodTo(clients, pod, moment);
      await eventually("the pod is being deleted", async () => {
        await impatient.observe();
        return (await clients.core.readNamespacedPod(podKey(pod))).metadata?.deletionTimestamp !== undefined;
      });
      assert.notEqual((await observationOf(impatient, spec))?.state, "ended");
      // As a kubelet: a pod that is being deleted ends Failed.
      await bringPodTo(clients, pod, moments.failed("checkout", 137));
      const end = await waitForEnd(impatient, spec);
      assert.equal(codeOf(end), code);
      assert.match(end.infrastructure?.error ?? "", /BackOff|ConfigError/);
    });
  }

  test("a lost node keeps the slot until the node is declared out of service: node_lost", async () => {
    const lost = await playedNode(clients);
    try {
      const { spec, pod } = await launchBound(launcher, { ...played, node: lost });
      await bringPodTo(clients, pod, moments.running("agent"));
      await waitForState(spec, "running");
      await lost.lose();
      await deletePod(pod);
      await eventually("the pod is seen terminating", async () => (await see(spec))?.state === "running");
      await lost.setOutOfService();
      const end = await eventually("the slot is free", async () => (await see(spec))?.end, 90_000);
      assert.equal(codeOf(end), "node_lost");
    } finally {
      await lost.remove();
    }
  });

  test("a node that is deleted frees the slot: node_lost", async () => {
    const lost = await playedNode(clients);
    const { spec, pod } = await launchBound(launcher, { ...played, node: lost });
    await bringPodTo(clients, pod, moments.running("agent"));
    await waitForState(spec, "running");
    await lost.remove();
    // The pod garbage collector looks every 20 s, and waits for the node for three looks at most.
    const end = await eventually("the slot is free", async () => (await see(spec))?.end, 150_000);
    assert.equal(codeOf(end), "node_lost");
  });

  test("a pod that was deleted holds the slot until it has ended: job_deleted", async () => {
    const { spec, pod } = await launchBound(launcher, played);
    await bringPodTo(clients, pod, moments.running("agent"));
    await deletePod(pod);
    assert.equal((await waitForState(spec, "running")).podName, pod.metadata?.name);
    await bringPodTo(clients, pod, moments.failed("agent", 143));
    assert.equal(codeOf(await waitForEnd(launcher, spec)), "job_deleted");
  });

  test("a Job that was deleted by hand holds the slot until its pod is gone", async () => {
    const { spec, pod } = await launchBound(launcher, played);
    await bringPodTo(clients, pod, moments.running("agent"));
    await waitForState(spec, "running");
    await holdPod(clients, pod);
    const key = { namespace: namespace.name, name: spec.jobName };
    await clients.batch.deleteNamespacedJob({ ...key, propagationPolicy: "Background" });
    await eventually("the pod is being deleted", async () => {
      const { metadata } = await clients.core.readNamespacedPod(podKey(pod));
      return metadata?.deletionTimestamp !== undefined;
    });
    assert.equal((await see(spec))?.state, "running");
    await removePod(clients, pod);
    await waitUntilGone(launcher, spec);
  });

  test("a Job that was deleted without its pod leaves the pod to its work", async () => {
    const { spec, pod } = await launchBound(launcher, played);
    await bringPodTo(clients, pod, moments.running("publish"));
    const key = { namespace: namespace.name, name: spec.jobName };
    await clients.batch.deleteNamespacedJob({ ...key, propagationPolicy: "Orphan" });
    await waitForState(spec, "running");
    await bringPodTo(clients, pod, moments.succeeded());
    assert.equal((await waitForEnd(launcher, spec)).phases.length, 3);
    await launcher.remove(spec.jobName);
    await waitUntilGone(launcher, spec);
  });

  test("a suspended Job waits and says so, and goes on when it is resumed", async () => {
    const spec = newSpec();
    await launcher.launch(spec);
    const pod = await podOfJob(clients, { namespace: namespace.name, name: spec.jobName });
    await patchJob(spec, { spec: { suspend: true } });
    // Jobs and pods are watched each for themselves: what is seen of them comes in any order.
    const seen = await eventually("its pod is gone, and it says why", async () => {
      const now = await see(spec);
      return now?.podName === null && /suspended/.test(now.waiting ?? "") ? now : null;
    });
    assert.equal(seen.state, "starting");
    await patchJob(spec, { spec: { suspend: false } });
    await eventually("it has another pod", async () => {
      const podName = (await see(spec))?.podName;
      return podName && podName !== pod.metadata?.name;
    });
  });

  test("a pod that is stuck terminating after its end frees the slot all the same", async () => {
    const { spec, pod } = await launchBound(launcher, played);
    await holdPod(clients, pod);
    await bringPodTo(clients, pod, moments.succeeded());
    await deletePod(pod);
    await waitForEnd(launcher, spec);
    await removePod(clients, pod);
  });

  test("a pod that is stuck terminating before its end holds the slot", async () => {
    const { spec, pod } = await launchBound(launcher, played);
    await holdPod(clients, pod);
    await bringPodTo(clients, pod, moments.running("checkout"));
    await waitForState(spec, "running");
    await launcher.stop(spec.jobName, "test");
    await eventually("the pod is being deleted", async () => {
      const { metadata } = await clients.core.readNamespacedPod(podKey(pod));
      return metadata?.deletionTimestamp !== undefined;
    });
    assert.equal((await see(spec))?.state, "running");
    await launcher.remove(spec.jobName);
    assert.equal((await see(spec))?.state, "running");
    await removePod(clients, pod);
    await waitUntilGone(launcher, spec);
  });
});
