/** Launches against an API server that takes few requests at a time, and one that is away. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Launcher, LaunchSpec } from "../../engine/launch/launcher.ts";
import { join } from "node:path";
import { RbacAuthorizationV1Api } from "@kubernetes/client-node";
import { pino } from "pino";
import { LaunchError } from "../../engine/launch/launcher.ts";
import { newSpec, openLauncher } from "./launcher-support.ts";
import { writeKubeconfig } from "./support/certificates.ts";
import { clientsFor, type Clients } from "./support/clients.ts";
import { startCluster, type TestCluster } from "./support/cluster.ts";
import { freshNamespace } from "./support/fresh-namespace.ts";
import { ownClusterProblem } from "./support/shared-cluster.ts";

describe("launches against a busy API server", { skip: await ownClusterProblem() }, () => {
  let cluster: TestCluster;
  let launcher: Launcher;
  let pauses = 0;

  before(async () => {
    // Whatever is above the limit is answered with 429 and Retry-After: 1.
    const apiServerFlags = ["--enable-priority-and-fairness=false", "--max-mutating-requests-inflight=5"];
    cluster = await startCluster({ apiServerFlags });
    const clients = clientsFor(cluster.kubeconfig);
    const namespace = (await freshNamespace(clients, "throttle")).name;
    const kubeconfig = await kubeconfigOfUser(cluster, clients, namespace);
    // They would take the few places, and nobody here needs a pod.
    await cluster.stopScheduler();
    await cluster.stopControllerManager();
    const log = pino({ level: "debug" }, { write: (line) => (pauses += line.includes("asks for a pause") ? 1 : 0) });
    launcher = await openLauncher({ kubeconfig, namespace }, { createsAtOnce: 50, log });
  });
  after(async () => {
    await launcher?.close();
    await cluster?.stop();
  });

  test("429 and Retry-After are obeyed until every run is launched", async () => {
    const specs: LaunchSpec[] = [];
    // Whether five requests ever meet there depends on the machine: several bursts are sure to do it.
    while (pauses === 0 && specs.length < 600) {
      const burst = Array.from({ length: 60 }, () => newSpec());
      await Promise.all(burst.map((spec) => launcher.launch(spec)));
      specs.push(...burst);
    }
    const seen = new Set((await launcher.observe()).map(({ runId }) => runId));
    assert.ok(specs.every(({ runId }) => seen.has(runId)));
    assert.ok(pauses > 0, "the API server was never busy");
  });

  test("a launch that is refused does not hold up the others", async () => {
    const bad = Array.from({ length: 20 }, () => launcher.launch(newSpec({ memory: "lots" })));
    const good = Array.from({ length: 20 }, () => launcher.launch(newSpec()));
    const answers = await Promise.allSettled([...bad, ...good]);
    assert.ok(
      answers.slice(0, 20).every((answer) => answer.status === "rejected" && answer.reason instanceof LaunchError),
    );
    assert.ok(answers.slice(20).every(({ status }) => status === "fulfilled"));
  });

  test("a launch waits for an API server that comes back", async () => {
    await cluster.stopApiServer();
    const spec = newSpec();
    const launched = launcher.launch(spec);
    await cluster.startApiServer();
    await launched;
    assert.ok((await launcher.observe()).some(({ runId }) => runId === spec.runId));
  });

  test("closing ends launches that wait for an API server", async () => {
    await cluster.stopApiServer();
    const waiting = assert.rejects(launcher.launch(newSpec()), (error: unknown) => !(error instanceof LaunchError));
    await launcher.close();
    await waiting;
  });
});

/** Administrators are exempt from all limits; this user is not. */
async function kubeconfigOfUser(cluster: TestCluster, clients: Clients, namespace: string): Promise<string> {
  const client = await cluster.authority.sign({ name: "engine", subject: "/CN=engine" });
  const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" };
  const subjects = [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: "engine" }];
  await clients.config
    .makeApiClient(RbacAuthorizationV1Api)
    .createNamespacedRoleBinding({ namespace, body: { metadata: { name: "engine" }, roleRef, subjects } });
  const path = join(cluster.directory, "engine.kubeconfig");
  await writeKubeconfig(path, { server: cluster.server, authority: cluster.authority, client });
  return path;
}
