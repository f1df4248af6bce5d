/** `myzel doctor --try-pod` on a real node: images that are there, that cannot be had, that are none of a worker. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pino } from "pino";
import { checkCluster } from "../../../engine/launch/kubernetes/doctor/check-cluster.ts";
import { makeEngineAccount } from "../deploy/engine-account.ts";
import { newSpec } from "../launcher-support.ts";
import { clientsFor } from "../support/clients.ts";
import { startCluster, type TestCluster } from "../support/cluster.ts";
import { freshNamespace } from "../support/fresh-namespace.ts";
import { forward } from "./forward.ts";
import { buildWorkerImage, WORKER_IMAGE } from "./images/own-images.ts";
import { nodeProblem, startNode, type TestNode } from "./node.ts";

const NOWHERE = "127.0.0.1:1/nowhere:1";

describe("a trial pod on a real node", { skip: await nodeProblem(), timeout: 900_000 }, () => {
  let scratch: string;
  let cluster: TestCluster;
  let node: TestNode;
  before(async () => {
    scratch = await mkdtemp(join(tmpdir(), "myzel-doctor-node-"));
    await buildWorkerImage();
    cluster = await startCluster();
    node = await startNode(cluster);
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
    const model = createServer((socket) => socket.end()).listen(0, "127.0.0.1");
    await once(model, "listening");
    const forwarded = await forward(node.address, (model.address() as AddressInfo).port);
    const { credential } = newSpec();
    const profile = { cpu: null, memory: null, credential, podTemplate: null };
    try {
      const checks = await checkCluster({
        settings: {
          kubeconfig,
          namespace,
          instance: "myzel",
          workerImage: WORKER_IMAGE,
          cpu: "500m",
          memory: "256Mi",
          disk: "1Gi",
          claudeSecret: { name: "myzel-claude", key: "token" },
          stuckAfterMs: 300_000,
          createsAtOnce: 20,
          podDatabaseUrl: "",
          modelBaseUrl: `http://${node.address}:${forwarded.port}`,
          log: pino({ level: "silent" }),
        },
        maxLiveRuns: 10,
        credentials: [],
        profiles: [
          { ...profile, name: "good", image: null },
          { ...profile, name: "gone", image: NOWHERE },
        ],
        tryPod: { timeoutMs: 120_000 },
      });
      const found = (name: string) => checks.find((check) => check.name === name);
      const told = (name: string) => `${found(name)?.status}: ${found(name)?.message}`;
      assert.match(told(`image ${WORKER_IMAGE}`), /^ok: pulled, started and ended on /);
      assert.match(
        told(`image ${NOWHERE}`),
        /^problem: The image of agent cannot be had \((ErrImagePull|ImagePullBackOff)/,
      );
      // There is no Service address here, so nobody reaches it.
      assert.match(
        told("network policy"),
        /^ok: enforced: a run's pod does not reach the API server at 10\.0\.0\.1:443/,
      );
      assert.match(told("model"), /^ok: a run's pod reaches /);
      const { items } = await clients.batch.listNamespacedJob({ namespace });
      assert.ok(items.every(({ metadata }) => metadata?.deletionTimestamp !== undefined));
    } finally {
      await forwarded.close();
      model.close();
    }
  });
});
