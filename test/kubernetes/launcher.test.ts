/** The Kubernetes launcher on a real API server: what it makes, what it leaves alone, what it takes away. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Launcher, LogPiece } from "../../engine/launch/launcher.ts";
import { LaunchError } from "../../engine/launch/launcher.ts";
import { eventually } from "../support/waiting.ts";
import { launchBound, newSpec, observationOf, openLauncher, waitForEnd, waitUntilGone } from "./launcher-support.ts";
import { clientsFor, unlessNotFound, type Clients } from "./support/clients.ts";
import { freshNamespace, type FreshNamespace } from "./support/fresh-namespace.ts";
import { playedNode, type PlayedNode } from "./support/played-node.ts";
import { bringPodTo, podKey, podOfJob } from "./support/played-pod.ts";
import * as moments from "./support/pod-moments.ts";
import { removePod } from "./support/remove-pods.ts";
import { sampleJob } from "./support/sample-job.ts";
import { kubernetesProblem, sharedKubeconfig } from "./support/shared-cluster.ts";

describe("the Kubernetes launcher", { skip: await kubernetesProblem() }, () => {
  let clients: Clients;
  let namespace: FreshNamespace;
  let node: PlayedNode;
  let launcher: Launcher;
  let where: { kubeconfig: string; namespace: string };
  let played: { clients: Clients; namespace: string; node: PlayedNode };

  before(async () => {
    const kubeconfig = await sharedKubeconfig();
    clients = clientsFor(kubeconfig);
    namespace = await freshNamespace(clients, "launcher");
    node = await playedNode(clients);
    where = { kubeconfig, namespace: namespace.name };
    played = { clients, namespace: namespace.name, node };
    launcher = await openLauncher(where);
  });
  after(async () => {
    await launcher?.close();
    await namespace?.remove();
    await node?.remove();
  });

  test("a launched run has a Job whose pod a restricted namespace takes", async () => {
    const spec = newSpec({ role: "red" });
    await launcher.launch(spec);
    const pod = await podOfJob(clients, { namespace: namespace.name, name: spec.jobName });
    assert.equal(pod.metadata?.labels?.["myzel.dev/run"], spec.runId);
    assert.equal(pod.metadata?.labels?.["myzel.dev/cluster"], "shop");
    assert.equal(pod.metadata?.annotations?.["myzel.dev/addressee"], spec.addressee);
    const seen = await observationOf(launcher, spec);
    assert.deepEqual([seen?.state, seen?.podName, seen?.jobName], ["starting", pod.metadata?.name, spec.jobName]);
  });

  test("every kind of login gives a pod that a restricted namespace takes", async () => {
    const credential = {
      name: "dir",
      env_var: null,
      file_path: null,
      secret_name: "login",
      secret_key: ".credentials.json",
    };
    const spec = newSpec({ credential });
    await launcher.launch(spec);
    await podOfJob(clients, { namespace: namespace.name, name: spec.jobName });
  });

  test("the Secret of all pods holds what the Job does not show, and is mended when it is changed", async () => {
    const secret = { namespace: namespace.name, name: "test-pods" };
    const spec = newSpec();
    await launcher.launch(spec);
    const values = async () => {
      const { data = {} } = await clients.core.readNamespacedSecret(secret);
      return Object.values(data).map((value) => Buffer.from(value, "base64").toString());
    };
    assert.deepEqual((await values()).toSorted(), ["1".repeat(64), "postgresql://pod:password@db.invalid/myzel"]);
    const job = JSON.stringify(
      await clients.batch.readNamespacedJob({ namespace: namespace.name, name: spec.jobName }),
    );
    assert.ok(!job.includes("1".repeat(64)) && !job.includes("password@"));

    await clients.core.replaceNamespacedSecret({ ...secret, body: { metadata: { name: secret.name }, data: {} } });
    const successor = await openLauncher(where);
    await successor.launch(newSpec());
    await successor.close();
    assert.equal((await values()).length, 2);
  });

  test("launching twice makes one Job", async () => {
    const spec = newSpec();
    await Promise.all([launcher.launch(spec), launcher.launch(spec)]);
    await launcher.launch(spec);
    const labelSelector = `myzel.dev/run=${spec.runId}`;
    const { items } = await clients.batch.listNamespacedJob({ namespace: namespace.name, labelSelector });
    assert.equal(items.length, 1);
  });

  test("a name that a stranger's Job has taken is told, and the stranger's Job is left alone", async () => {
    const spec = newSpec();
    const key = { namespace: namespace.name, name: spec.jobName };
    await clients.batch.createNamespacedJob({ namespace: namespace.name, body: sampleJob(spec.jobName) });
    await assert.rejects(
      launcher.launch(spec),
      (error: unknown) => error instanceof LaunchError && /not ours/.test(error.message),
    );
    await launcher.stop(spec.jobName, "test");
    await launcher.remove(spec.jobName);
    assert.equal(await observationOf(launcher, spec), undefined);
    assert.equal((await clients.batch.readNamespacedJob(key)).metadata?.deletionTimestamp, undefined);
  });

  test("a Job of another installation in the namespace is not seen", async () => {
    const other = await openLauncher(where, { instance: "other" });
    const spec = newSpec();
    await other.launch(spec);
    assert.equal((await observationOf(other, spec))?.state, "starting");
    assert.equal(await observationOf(launcher, spec), undefined);
    await other.close();
  });

  test("a launch that the API server does not take is a failure with its sentence", async () => {
    await assert.rejects(
      launcher.launch(newSpec({ memory: "lots" })),
      (error: unknown) =>
        error instanceof LaunchError && error.code === "pod_refused" && /lots|quantit/i.test(error.message),
    );
    const astray = await openLauncher({ ...where, namespace: "no-such-namespace" });
    await assert.rejects(astray.launch(newSpec()), LaunchError);
    await astray.close();
  });

  test("a stopped run stays seen while its pod works, and is gone when the pod is", async () => {
    const { spec, pod } = await launchBound(launcher, played);
    await bringPodTo(clients, pod, moments.running("checkout"));
    await launcher.stop(spec.jobName, "test");
    await launcher.stop(spec.jobName, "test");
    await eventually("the pod is being deleted", async () => {
      const now = await unlessNotFound(clients.core.readNamespacedPod(podKey(pod)));
      return now?.metadata?.deletionTimestamp !== undefined;
    });
    assert.equal((await observationOf(launcher, spec))?.state, "running");
    await removePod(clients, pod);
    await waitUntilGone(launcher, spec);
  });

  test("a run that has not ended is not removed; one that has is, with its pod", async () => {
    const { spec, pod } = await launchBound(launcher, played);
    await bringPodTo(clients, pod, moments.running("checkout"));
    await launcher.remove(spec.jobName);
    assert.equal((await observationOf(launcher, spec))?.state, "running");
    await bringPodTo(clients, pod, moments.succeeded());
    const end = await waitForEnd(launcher, spec);
    assert.deepEqual(
      end.phases.map(({ phase, exitCode }) => [phase, exitCode]),
      [
        ["checkout", 0],
        ["agent", 0],
        ["publish", 0],
      ],
    );
    await launcher.remove(spec.jobName);
    await waitUntilGone(launcher, spec);
    assert.equal(await unlessNotFound(clients.core.readNamespacedPod(podKey(pod))), undefined);
  });

  test("unknown names are no error, and have no log", async () => {
    const { jobName } = newSpec();
    await launcher.stop(jobName, "test");
    await launcher.remove(jobName);
    assert.deepEqual(await readAll(launcher.logs(jobName, { follow: true })), []);
  });

  test("a log that cannot be had is said in a line, and ends", async () => {
    const { spec, pod } = await launchBound(launcher, played);
    await bringPodTo(clients, pod, moments.failed("checkout", 20));
    const log = (await readAll(launcher.logs(spec.jobName, { follow: true }))).join("");
    assert.match(log, /\[myzel\] The log of checkout cannot be had/);
  });

  test("a reader of the log goes when it wants to", async () => {
    const { spec } = await launchBound(launcher, played);
    const signal = AbortSignal.timeout(200);
    assert.deepEqual(await readAll(launcher.logs(spec.jobName, { follow: true, signal })), []);
  });

  test("a credential's Secret and key are looked for, and its value is never told", async () => {
    const credential = {
      name: "team",
      env_var: null,
      file_path: null,
      secret_name: "claude-team",
      secret_key: "token",
    };
    assert.match((await launcher.credentialProblem(credential)) ?? "", /no Secret claude-team .*kubectl/);
    const metadata = { name: "claude-team" };
    const body = { metadata, stringData: { other: "sk-ant-value" } };
    await clients.core.createNamespacedSecret({ namespace: namespace.name, body });
    const problem = (await launcher.credentialProblem(credential)) ?? "";
    assert.match(problem, /has no key "token"/);
    assert.ok(!problem.includes("sk-ant-value"));
    const whole = { metadata, stringData: { token: "sk-ant-value" } };
    await clients.core.replaceNamespacedSecret({ namespace: namespace.name, name: "claude-team", body: whole });
    assert.equal(await launcher.credentialProblem(credential), null);
    assert.match(
      (await launcher.credentialProblem({ ...credential, env_var: "X", secret_name: null, secret_key: null })) ?? "",
      /set its secret_name/,
    );
  });
});

async function readAll(log: AsyncIterable<LogPiece>): Promise<string[]> {
  const chunks: string[] = [];
  for await (const { text } of log) chunks.push(text);
  return chunks;
}
