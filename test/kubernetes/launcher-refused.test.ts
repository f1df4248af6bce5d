/** Pods that the cluster does not take: refused by the real API server, told by the real Job controller. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { V1Job } from "@kubernetes/client-node";
import type { Launcher, LaunchSpec } from "../../engine/launch/launcher.ts";
import { labelsOf } from "../../engine/launch/kubernetes/labels.ts";
import { eventually } from "../support/waiting.ts";
import { codeOf, newSpec, observationOf, openLauncher, waitForEnd, waitUntilGone } from "./launcher-support.ts";
import { clientsFor, type Clients } from "./support/clients.ts";
import { freshNamespace, type FreshNamespace } from "./support/fresh-namespace.ts";
import { sampleJob } from "./support/sample-job.ts";
import { kubernetesProblem, sharedKubeconfig } from "./support/shared-cluster.ts";

describe("a run whose pod the cluster does not take", { skip: await kubernetesProblem(), concurrency: 4 }, () => {
  let clients: Clients;
  let kubeconfig: string;
  const opened: { namespace: FreshNamespace; launchers: Launcher[] }[] = [];
  before(async () => {
    kubeconfig = await sharedKubeconfig();
    clients = clientsFor(kubeconfig);
  });
  after(async () => {
    for (const { namespace, launchers } of opened) {
      for (const launcher of launchers) await launcher.close();
      await namespace.remove();
    }
  });

  /** A namespace, and two launchers that see the same runs: one gives up after five minutes, one at once. */
  async function open() {
    const namespace = await freshNamespace(clients, "refused");
    const where = { kubeconfig, namespace: namespace.name };
    const patient = await openLauncher(where);
    const impatient = await openLauncher(where, { stuckAfterMs: 1 });
    opened.push({ namespace, launchers: [patient, impatient] });
    return { namespace: namespace.name, patient, impatient };
  }
  const waitFor = (launcher: Launcher, spec: LaunchSpec, sentence: RegExp) =>
    eventually(`it waits for ${sentence}`, async () => {
      const seen = await observationOf(launcher, spec);
      return seen?.state === "starting" && sentence.test(seen.waiting ?? "") ? seen.waiting : null;
    });

  test("by a quota waits with the quota's sentence, is never given up, and starts when there is room", async () => {
    const { namespace, patient, impatient } = await open();
    const quota = { metadata: { name: "small" }, spec: { hard: { "limits.memory": "1Mi" } } };
    await clients.core.createNamespacedResourceQuota({ namespace, body: quota });
    await eventually("the quota is in force", async () => {
      const { status } = await clients.core.readNamespacedResourceQuota({ namespace, name: "small" });
      return status?.used !== undefined;
    });
    const spec = newSpec();
    await patient.launch(spec);
    const waiting = await waitFor(patient, spec, /exceeded quota/);
    assert.match(
      waiting ?? "",
      /^The cluster does not take its pod yet: exceeded quota: small, requested: limits.memory=1Gi/,
    );
    await waitFor(impatient, spec, /exceeded quota/);
    assert.equal((await observationOf(impatient, spec))?.end, null);
    await clients.core.deleteNamespacedResourceQuota({ namespace, name: "small" });
    // The Job controller looks again after at most a minute.
    await eventually("its pod is made", async () => (await observationOf(patient, spec))?.podName, 75_000);
    await patient.stop(spec.jobName, "end of the test");
    await waitUntilGone(patient, spec);
  });

  test("by a limit range waits for the set time and fails for good with the reason: pod_refused", async () => {
    const { namespace, patient, impatient } = await open();
    const limits = [{ type: "Container", max: { memory: "64Mi" } }];
    await clients.core.createNamespacedLimitRange({
      namespace,
      body: { metadata: { name: "tight" }, spec: { limits } },
    });
    const spec = newSpec();
    await patient.launch(spec);
    await waitFor(patient, spec, /refuses the run's pod: .*maximum memory usage per Container is 64Mi/);
    await patient.observe();
    assert.equal((await observationOf(patient, spec))?.state, "starting");
    const end = await waitForEnd(impatient, spec);
    assert.equal(codeOf(end), "pod_refused");
    assert.match(end.infrastructure?.error ?? "", /maximum memory usage per Container is 64Mi/);
    // Whoever mends the rule now gets no late pod of a run that has ended.
    await clients.core.deleteNamespacedLimitRange({ namespace, name: "tight" });
    const { status } = await clients.batch.readNamespacedJob({ namespace, name: spec.jobName });
    assert.ok(status?.conditions?.some(({ type, status }) => type === "Failed" && status === "True"));
    await impatient.remove(spec.jobName);
    await waitUntilGone(impatient, spec);
  });

  test("by Pod Security fails for good with the rule's sentence", async () => {
    const { namespace, impatient } = await open();
    const spec = newSpec();
    const labels = labelsOf(spec, "test");
    const job: V1Job = sampleJob(spec.jobName);
    job.metadata = { name: spec.jobName, labels };
    const { template } = job.spec ?? {};
    assert.ok(template?.spec);
    template.metadata = { labels };
    template.spec.hostNetwork = true;
    await clients.batch.createNamespacedJob({ namespace, body: job });
    const end = await waitForEnd(impatient, spec);
    assert.equal(codeOf(end), "pod_refused");
    assert.match(end.infrastructure?.error ?? "", /violates PodSecurity "restricted:latest": host namespaces/);
  });

  test("because of a class that does not exist fails for good with its name", async () => {
    const { impatient } = await open();
    const spec = newSpec({ podTemplate: { spec: { priorityClassName: "no-such-class" } } });
    await impatient.launch(spec);
    const end = await waitForEnd(impatient, spec);
    assert.equal(codeOf(end), "pod_refused");
    assert.match(end.infrastructure?.error ?? "", /no PriorityClass with name no-such-class/);
  });
});
