/**
 * `myzel doctor --try-pod` on a real node: images that are there and that cannot be had, and deploy/'s policy where the
 * network enforces it and where it does not.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { load } from "js-yaml";
import type { Check } from "../../../engine/check.ts";
import { checkCluster } from "../../../engine/launch/kubernetes/doctor/check-cluster.ts";
import { createObject } from "../deploy/create-object.ts";
import { makeEngineAccount } from "../deploy/engine-account.ts";
import type { KubernetesObject } from "../deploy/kustomize.ts";
import { newSpec, SETTINGS } from "../launcher-support.ts";
import { clientsFor } from "../support/clients.ts";
import { startCluster, type TestCluster } from "../support/cluster.ts";
import { freshNamespace } from "../support/fresh-namespace.ts";
import { forward } from "./forward.ts";
import { buildWorkerImage, WORKER_IMAGE } from "./images/own-images.ts";
import { enforcingNodeProblem, nodeProblem, startNode, type TestNode } from "./node.ts";
import { PLACE } from "./place.ts";

const NOWHERE = "127.0.0.1:1/nowhere:1";
const POLICY = join(import.meta.dirname, "../../../deploy/base/network-of-runs.yaml");

const NODES = [
  {
    what: "a node whose network knows no policies",
    enforcing: false,
    skip: await nodeProblem(),
    model: { address: PLACE.address, port: 0 },
    told: /^warning: not enforced: a run's pod reaches the API server at 10\.0\.0\.1:443/,
  },
  {
    what: "a node whose network enforces policies",
    enforcing: true,
    skip: await enforcingNodeProblem(),
    model: { address: PLACE.publicAddresses[0], port: 443 },
    told: /^ok: enforced: a run's pod does not reach the API server at 10\.0\.0\.1:443/,
  },
];

for (const { what, enforcing, skip, model, told: toldOfPolicy } of NODES) {
  describe(`a trial pod on ${what}`, { skip, timeout: 900_000 }, () => {
    let scratch: string;
    let cluster: TestCluster;
    let node: TestNode;
    before(async () => {
      scratch = await mkdtemp(join(tmpdir(), "myzel-doctor-node-"));
      await buildWorkerImage();
      cluster = await startCluster();
      node = await startNode(cluster, { enforcing });
      await node.addImage(WORKER_IMAGE);
    });
    after(async () => {
      await node?.stop();
      await cluster?.stop();
      await rm(scratch, { recursive: true, force: true });
    });

    test("tells what images can be had and what is reached, with the engine's own rights", async () => {
      const clients = clientsFor(cluster.kubeconfig);
      const namespace = (await freshNamespace(clients, "doctor")).name;
      const kubeconfig = join(scratch, "engine.kubeconfig");
      await makeEngineAccount(clients, namespace, kubeconfig);
      const policy = load(await readFile(POLICY, "utf8")) as KubernetesObject;
      policy.metadata.namespace = namespace;
      await createObject(clients.config, policy);
      const server = createServer((socket) => socket.end()).listen(0, "127.0.0.1");
      await once(server, "listening");
      const forwarded = await forward(model.address, (server.address() as AddressInfo).port, model.port);
      try {
        const modelBaseUrl = `http://${model.address}:${forwarded.port}`;
        const checks = await checkCluster(optionsFor({ kubeconfig, namespace, modelBaseUrl }));
        const told = toldBy(checks);
        assert.match(told(`image ${WORKER_IMAGE}`), /^ok: pulled, started and ended on /);
        assert.match(
          told(`image ${NOWHERE}`),
          /^problem: The image of agent cannot be had \((ErrImagePull|ImagePullBackOff)/,
        );
        assert.match(told("network policy"), toldOfPolicy);
        assert.match(told("model"), /^ok: a run's pod reaches /);
        const { items } = await clients.batch.listNamespacedJob({ namespace });
        assert.ok(items.every(({ metadata }) => metadata?.deletionTimestamp !== undefined));
      } finally {
        await forwarded.close();
        server.close();
      }
    });
  });
}

function toldBy(checks: readonly Check[]): (name: string) => string {
  return (name) => {
    const check = checks.find((one) => one.name === name);
    return `${check?.status}: ${check?.message}`;
  };
}

function optionsFor(place: {
  kubeconfig: string;
  namespace: string;
  modelBaseUrl: string;
}): Parameters<typeof checkCluster>[0] {
  const profile = { cpu: null, memory: null, credential: newSpec().credential, podTemplate: null };
  return {
    settings: { ...SETTINGS, ...place, instance: "myzel", workerImage: WORKER_IMAGE, cpu: "500m", memory: "256Mi" },
    maxLiveRuns: 10,
    credentials: [],
    profiles: [
      { ...profile, name: "good", image: null },
      { ...profile, name: "gone", image: NOWHERE },
    ],
    tryPod: { timeoutMs: 120_000 },
  };
}
