/** A launch whose answer is lost: there may be a Job, so nobody may call it failed and give its slot away. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pino } from "pino";
import { openApi, type Api } from "../../engine/launch/kubernetes/api.ts";
import { createGate } from "../../engine/launch/kubernetes/create-gate.ts";
import { launchRun } from "../../engine/launch/kubernetes/launch-run.ts";
import { LaunchError } from "../../engine/launch/launcher.ts";
import { eventually } from "../support/waiting.ts";
import { startApiProxy, type ApiProxy } from "./launcher-proxy.ts";
import { clientsFor, unlessNotFound, type Clients } from "./support/clients.ts";
import { freshNamespace, type FreshNamespace } from "./support/fresh-namespace.ts";
import { sampleJob } from "./support/sample-job.ts";
import { kubernetesProblem, sharedKubeconfig } from "./support/shared-cluster.ts";

describe("a launch whose answer is lost", { skip: await kubernetesProblem() }, () => {
  let clients: Clients;
  let namespace: FreshNamespace;
  let directory: string;
  let proxy: ApiProxy;
  let api: Api;
  const options = {
    gate: createGate(4),
    log: pino({ level: "silent" }),
    patience: { limitMs: 500, busyLimitMs: 500 },
  };

  before(async () => {
    const kubeconfig = await sharedKubeconfig();
    clients = clientsFor(kubeconfig);
    namespace = await freshNamespace(clients, "lost-answer");
    directory = await mkdtemp(join(tmpdir(), "myzel-proxy-"));
    proxy = await startApiProxy(kubeconfig, directory);
    api = await openApi({ kubeconfig: proxy.kubeconfig, namespace: namespace.name });
  });
  after(async () => {
    await api?.close();
    await proxy?.close();
    await namespace?.remove();
    await rm(directory, { recursive: true });
  });

  test("is no failure while nobody knows; launched again, it is the Job that was made", async () => {
    const job = sampleJob("answer-lost");
    job.metadata = { ...job.metadata, labels: { "myzel.dev/run": "r" } };
    await api.request({ path: "/version" }); // a connection to be lost
    proxy.muffle();
    const launched = launchRun(api, job, options);
    const key = { namespace: namespace.name, name: "answer-lost" };
    const made = await eventually("the server has made the Job", () =>
      unlessNotFound(clients.batch.readNamespacedJob(key)),
    );
    proxy.cut();
    await assert.rejects(launched, (error: unknown) => !(error instanceof LaunchError));
    proxy.restore();
    assert.equal((await launchRun(api, job, options)).uid, made.metadata?.uid);
  });

  test("a refusal is believed only when there is no Job", async () => {
    const job = sampleJob("refused");
    job.metadata = { ...job.metadata, labels: { "myzel.dev/run": "r" } };
    const made = await launchRun(api, job, options);
    const invalid = { ...job, spec: { ...job.spec, backoffLimit: -1 } } as typeof job;
    assert.equal((await launchRun(api, invalid, options)).uid, made.uid);
    const other = { ...invalid, metadata: { ...invalid.metadata, name: "refused-as-well" } };
    await assert.rejects(launchRun(api, other, options), LaunchError);
  });
});
