/** The test cluster itself: real parts that start, refuse, break and come back. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { Watch, type V1Status } from "@kubernetes/client-node";
import { processInfo } from "../../engine/launch/process/proc.ts";
import { eventually } from "../support/waiting.ts";
import { clientsFor, unlessNotFound, type Clients } from "./support/clients.ts";
import { startCluster, type TestCluster } from "./support/cluster.ts";
import { freshNamespace, type FreshNamespace } from "./support/fresh-namespace.ts";
import { podOfJob } from "./support/played-pod.ts";
import { sampleJob } from "./support/sample-job.ts";
import { kubernetesProblem, ownClusterProblem, sharedKubeconfig } from "./support/shared-cluster.ts";

describe("the cluster of all tests", { skip: await kubernetesProblem() }, () => {
  let clients: Clients;
  let namespace: FreshNamespace;

  before(async () => {
    clients = clientsFor(await sharedKubeconfig());
    namespace = await freshNamespace(clients, "cluster");
  });
  after(() => namespace?.remove());

  test("a namespace of a test refuses a pod that `restricted` does not allow", async () => {
    const container = { name: "root", image: "nowhere.invalid/worker:1", securityContext: { privileged: true } };
    const pod = { metadata: { name: "privileged" }, spec: { containers: [container] } };
    await assert.rejects(clients.core.createNamespacedPod({ namespace: namespace.name, body: pod }), {
      code: 403,
      message: /violates PodSecurity.*restricted/s,
    });
  });

  test("the Job controller makes the pod of a Job that `restricted` allows", async () => {
    await clients.batch.createNamespacedJob({ namespace: namespace.name, body: sampleJob("allowed") });
    const pod = await podOfJob(clients, { namespace: namespace.name, name: "allowed" });
    assert.equal(pod.status?.phase, "Pending");
  });

  test("a removed namespace goes, pods and finalizers included", async () => {
    const { name, remove } = await freshNamespace(clients, "removed");
    await clients.batch.createNamespacedJob({ namespace: name, body: sampleJob("left") });
    await podOfJob(clients, { namespace: name, name: "left" });
    await remove();
    await eventually("the namespace is gone", async () => {
      return (await unlessNotFound(clients.core.readNamespace({ name }))) === undefined;
    });
  });
});

describe("a cluster of one's own", { skip: await ownClusterProblem() }, () => {
  let cluster: TestCluster;
  let clients: Clients;
  let namespace: FreshNamespace;

  before(async () => {
    cluster = await startCluster();
    clients = clientsFor(cluster.kubeconfig);
    namespace = await freshNamespace(clients, "own");
  });
  after(() => cluster?.stop());

  test("a stopped API server answers nobody, and comes back with all it had", async () => {
    await clients.batch.createNamespacedJob({ namespace: namespace.name, body: sampleJob("before") });
    await cluster.stopApiServer();
    const read = () => clients.batch.readNamespacedJob({ namespace: namespace.name, name: "before" });
    await assert.rejects(read());
    await cluster.startApiServer();
    assert.equal((await read()).metadata?.name, "before");
  });

  test("a stopped controller manager makes no pods, and catches up when it is back", async () => {
    await cluster.stopControllerManager();
    await clients.batch.createNamespacedJob({ namespace: namespace.name, body: sampleJob("later") });
    const { status } = await clients.batch.readNamespacedJob({ namespace: namespace.name, name: "later" });
    assert.equal(status?.startTime, undefined);
    await cluster.startControllerManager();
    await podOfJob(clients, { namespace: namespace.name, name: "later" });
  });

  test("after a compaction and a restart, a watch from an old version is told 410 Gone", async () => {
    const resourceVersion = await versionBeforeChanges(clients, namespace.name);
    assert.equal(await firstWatchEvent(clients, { namespace: namespace.name, resourceVersion }), "ADDED");
    await cluster.compactEtcd();
    await cluster.stopApiServer();
    await cluster.startApiServer();
    assert.equal(await firstWatchEvent(clients, { namespace: namespace.name, resourceVersion }), 410);
  });
});

test(
  "without a watch cache, a compaction alone makes old versions 410 Gone",
  {
    skip: await ownClusterProblem(),
  },
  async (t) => {
    const cluster = await startCluster({ watchCache: false });
    t.after(() => cluster.stop());
    const clients = clientsFor(cluster.kubeconfig);
    const { name: namespace } = await freshNamespace(clients, "uncached");
    const resourceVersion = await versionBeforeChanges(clients, namespace);
    assert.equal(await firstWatchEvent(clients, { namespace, resourceVersion }), "ADDED");
    await cluster.compactEtcd();
    assert.equal(await firstWatchEvent(clients, { namespace, resourceVersion }), 410);
  },
);

test(
  "nothing of a cluster outlives a process that is killed, but its directory",
  {
    skip: await ownClusterProblem(),
  },
  async (t) => {
    const directory = await mkdtemp(join(tmpdir(), "myzel-killed-cluster-"));
    t.after(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }));
    const module = JSON.stringify(join(import.meta.dirname, "support", "cluster.ts"));
    const program = `
    const { startCluster } = await import(${module});
    const cluster = await startCluster({ directory: process.argv[1] });
    console.log(JSON.stringify(cluster.pids));
    setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ["--input-type=module", "--eval", program, directory], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.after(() => holder.kill("SIGKILL"));
    const [line] = (await once(createInterface({ input: holder.stdout }), "line")) as [string];
    const pids = JSON.parse(line) as number[];
    assert.equal(pids.length, 4);
    holder.kill("SIGKILL");
    for (const pid of pids) await eventually(`process ${pid} has ended`, () => processInfo(pid) === null);
  },
);

/** Jobs have changed twice since that version. */
async function versionBeforeChanges(clients: Clients, namespace: string): Promise<string> {
  const { metadata } = await clients.batch.listNamespacedJob({ namespace });
  for (const name of ["first", "second"]) {
    await clients.batch.createNamespacedJob({ namespace, body: sampleJob(name) });
  }
  return metadata?.resourceVersion ?? "";
}

/** The type of the first event of a watch on Jobs, or the code of the error it is told. */
async function firstWatchEvent(
  clients: Clients,
  { namespace, resourceVersion }: { namespace: string; resourceVersion: string },
): Promise<string | number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<string | number | undefined>();
  const path = `/apis/batch/v1/namespaces/${namespace}/jobs`;
  const onEvent = (type: string, object: V1Status): void => resolve(type === "ERROR" ? object.code : type);
  const onEnd = (error: { statusCode?: number } | null): void => {
    if (error?.statusCode === undefined) reject(new Error("the watch ended without an event", { cause: error }));
    else resolve(error.statusCode);
  };
  const request = await new Watch(clients.config).watch(path, { resourceVersion }, onEvent, onEnd);
  try {
    return await promise;
  } finally {
    request.abort();
  }
}
