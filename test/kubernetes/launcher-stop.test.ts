/** How a run is stopped: asked where its agent has begun, so that its pod keeps what there is; else, and after a while, deleted. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { RbacAuthorizationV1Api, type V1Pod } from "@kubernetes/client-node";
import type { Launcher } from "../../engine/launch/launcher.ts";
import { eventually } from "../support/waiting.ts";
import { accountMay, makeEngineAccount } from "./deploy/engine-account.ts";
import { launchBound, observationOf, openLauncher, waitForEnd, waitUntilGone } from "./launcher-support.ts";
import { clientsFor, unlessNotFound, type Clients } from "./support/clients.ts";
import { freshNamespace, type FreshNamespace } from "./support/fresh-namespace.ts";
import { playedNode, type PlayedNode } from "./support/played-node.ts";
import { bringPodTo, podKey } from "./support/played-pod.ts";
import * as moments from "./support/pod-moments.ts";
import { removePod } from "./support/remove-pods.ts";
import { kubernetesProblem, sharedKubeconfig } from "./support/shared-cluster.ts";

describe("a stop on Kubernetes", { skip: await kubernetesProblem() }, () => {
  let clients: Clients;
  let namespace: FreshNamespace;
  let node: PlayedNode;
  let launcher: Launcher;
  /** Gives a pod hardly any time to keep something. */
  let impatient: Launcher;
  let where: { kubeconfig: string; namespace: string };
  let played: { clients: Clients; namespace: string; node: PlayedNode };

  before(async () => {
    const kubeconfig = await sharedKubeconfig();
    clients = clientsFor(kubeconfig);
    namespace = await freshNamespace(clients, "stop");
    node = await playedNode(clients);
    where = { kubeconfig, namespace: namespace.name };
    played = { clients, namespace: namespace.name, node };
    launcher = await openLauncher(where);
    impatient = await openLauncher(where, { keepLimitMs: 1 });
  });
  after(async () => {
    await launcher?.close();
    await impatient?.close();
    await namespace?.remove();
    await node?.remove();
  });

  const read = (pod: V1Pod) => unlessNotFound(clients.core.readNamespacedPod(podKey(pod)));
  const askedAt = async (pod: V1Pod) => (await read(pod))?.metadata?.annotations?.["myzel.dev/stop"];
  const isDeleted = async (pod: V1Pod) => {
    const now = await read(pod);
    return now === undefined || now.metadata?.deletionTimestamp !== undefined;
  };

  test("before its agent begins a run is deleted at once", async () => {
    for (const moment of [moments.accepted(), moments.running("checkout")]) {
      const { spec, pod } = await launchBound(launcher, played);
      await bringPodTo(clients, pod, moment);
      await launcher.stop(spec.jobName, "test");
      await eventually("the pod is deleted", () => isDeleted(pod));
      await removePod(clients, pod);
      await waitUntilGone(launcher, spec);
    }
  });

  test("a run of which nothing would be kept is deleted at once, whatever runs in it, asked before or not", async () => {
    const { spec, pod } = await launchBound(launcher, played);
    await bringPodTo(clients, pod, moments.running("agent"));
    await launcher.stop(spec.jobName, "test");
    assert.equal(await isDeleted(pod), false);
    await launcher.stop(spec.jobName, "test", { atOnce: true });
    await eventually("the pod is deleted", () => isDeleted(pod));
    await removePod(clients, pod);
    await waitUntilGone(launcher, spec);
  });

  test("a pod whose agent runs is asked once, by a time, and left to end by itself, as stopped", async () => {
    const { spec, pod } = await launchBound(launcher, played);
    await bringPodTo(clients, pod, moments.running("agent"));
    await launcher.stop(spec.jobName, "test");
    const at = await askedAt(pod);
    assert.ok(Math.abs(Date.parse(at ?? "") - Date.now()) < 60_000, at);
    await launcher.stop(spec.jobName, "test");
    await bringPodTo(clients, pod, moments.running("publish"));
    await launcher.stop(spec.jobName, "test");
    assert.deepEqual([await askedAt(pod), await isDeleted(pod)], [at, false]);
    assert.equal((await observationOf(launcher, spec))?.state, "running");
    await bringPodTo(clients, pod, moments.succeeded());
    assert.equal((await waitForEnd(launcher, spec)).stopped, true);
    await launcher.remove(spec.jobName);
    await waitUntilGone(launcher, spec);
  });

  test("a pod that does not end is deleted when its time is up, by any engine, and holds its slot until it is gone", async () => {
    const { spec, pod } = await launchBound(launcher, played);
    await bringPodTo(clients, pod, moments.running("agent"));
    await launcher.stop(spec.jobName, "test");
    assert.equal(await isDeleted(pod), false);
    await impatient.stop(spec.jobName, "test");
    await eventually("the pod is deleted", () => isDeleted(pod));
    assert.equal((await observationOf(launcher, spec))?.state, "running");
    await removePod(clients, pod);
    await waitUntilGone(launcher, spec);
  });

  test("an engine that watches is reminded of a run that was asked, for nothing else tells when its time is up", async () => {
    const { spec, pod } = await launchBound(launcher, played);
    await bringPodTo(clients, pod, moments.running("agent"));
    const reminders: number[] = [];
    const looks: Promise<unknown>[] = [];
    const stopWatching = impatient.watch((runIds) => {
      if (runIds?.includes(spec.runId)) reminders.push(Date.now());
      looks.push(impatient.observe(runIds === undefined ? undefined : new Set(runIds))); // as an engine does
    });
    try {
      await impatient.stop(spec.jobName, "test");
      const quiet = Date.now() + 2_000;
      await eventually("it is reminded", async () => reminders.some((at) => at > quiet));
      await impatient.stop(spec.jobName, "test");
      await eventually("the pod is deleted", () => isDeleted(pod));
    } finally {
      await stopWatching();
      await Promise.all(looks);
    }
    await removePod(clients, pod);
    await waitUntilGone(launcher, spec);
  });

  test("an engine without the right to ask deletes the pod", async () => {
    const scratch = await mkdtemp(join(tmpdir(), "myzel-stop-"));
    const kubeconfig = join(scratch, "engine.kubeconfig");
    await makeEngineAccount(clients, namespace.name, kubeconfig);
    const rbac = clients.config.makeApiClient(RbacAuthorizationV1Api);
    const key = { namespace: namespace.name, name: "myzel-engine" };
    const role = await rbac.readNamespacedRole(key);
    const rules = role.rules?.map((rule) =>
      rule.resources?.includes("pods") === true ? { ...rule, verbs: ["list", "watch", "delete"] } : rule,
    );
    await rbac.replaceNamespacedRole({ ...key, body: { ...role, rules: rules ?? [] } });
    const poor = await openLauncher({ ...where, kubeconfig });
    try {
      const mayAsk = () => accountMay(clients, namespace.name, { verb: "patch", resource: "pods" });
      await eventually("the Role is in force", async () => !(await mayAsk()));
      const { spec, pod } = await launchBound(launcher, played);
      await bringPodTo(clients, pod, moments.running("agent"));
      await poor.stop(spec.jobName, "test");
      await eventually("the pod is deleted", () => isDeleted(pod));
      assert.equal(await askedAt(pod), undefined);
      await removePod(clients, pod);
      await waitUntilGone(launcher, spec);
    } finally {
      await poor.close();
      await rm(scratch, { recursive: true });
    }
  });
});
