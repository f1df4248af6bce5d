/** deploy/'s NetworkPolicies on a node whose network enforces them: who reaches what, with real pods and a real run. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { loadAll } from "js-yaml";
import { type ModelRequest, text, textsOf, toolUse } from "../../support/scripted-model.ts";
import { eventually } from "../../support/waiting.ts";
import { createObject } from "../deploy/create-object.ts";
import type { KubernetesObject } from "../deploy/kustomize.ts";
import { type FreshNamespace, freshNamespace } from "../support/fresh-namespace.ts";
import { deployEngine } from "./deploy-engine.ts";
import { buildEngineImage, ENGINE_IMAGE, WORKER_IMAGE } from "./images/own-images.ts";
import { enforcingNodeProblem } from "./node.ts";
import { PLACE } from "./place.ts";
import { listeningPod, reachedFrom, reachedIn } from "./probe-pod.ts";
import { type Stage, startStage } from "./stage.ts";
import { reachScript, startWorld } from "./world.ts";

const DEPLOY = join(import.meta.dirname, "../../../deploy");
const ENGINE = { "app.kubernetes.io/name": "myzel", "app.kubernetes.io/component": "engine" };
const RUN = { "app.kubernetes.io/managed-by": "myzel" };
const [MODEL, GIT] = PLACE.publicAddresses;
const [WORLD, ...KEPT_FROM] = PLACE.worldAddresses;
const DATABASE = `${PLACE.address}:5432`;

function playAgent(request: ModelRequest) {
  const command = /RUN:(.*)/.exec(textsOf(request, "user"))?.[1] ?? "true";
  return request.step === 0 ? toolUse("Bash", { command }) : text("Done.");
}

describe("deploy/'s NetworkPolicies, enforced", { skip: await enforcingNodeProblem(), timeout: 1_200_000 }, () => {
  let stage: Stage;
  let outside: FreshNamespace;
  let kubelet: string;
  let names: string;
  let neighbour: string;
  let repository: string;

  before(async () => {
    stage = await startStage(playAgent, { enforcing: true });
    await startWorld();
    repository = await stage.forPods(stage.served.url, { address: GIT, port: 443 });
    await buildEngineImage();
    await stage.node.addImage(ENGINE_IMAGE);
    await bringEngine();
    outside = await freshNamespace(stage.clients, "outside");
    const node = await stage.clients.core.readNode({ name: stage.node.name });
    kubelet = `${PLACE.nodeAddress}:${node.status?.daemonEndpoints?.kubeletEndpoint?.Port}`;
    const server = { namespace: "kube-system", name: "names", labels: { "k8s-app": "kube-dns" } };
    names = await listeningPod(stage.clients, server, [53, 443]);
    neighbour = await listeningPod(
      stage.clients,
      { namespace: outside.name, name: "neighbour", labels: {} },
      [22, 443],
    );
  });
  after(() => stage?.close());

  async function bringEngine(): Promise<void> {
    const { clients, namespace, database } = stage;
    const runKey = Buffer.alloc(32, 7).toString("base64");
    await clients.core.createNamespacedSecret({
      namespace: namespace.name,
      body: { metadata: { name: "myzel-run-key" }, data: { "run-key": runKey } },
    });
    const at = { address: PLACE.address, port: 5432 };
    const moved = await stage.forPods(database.url("engine"), at);
    const pod = new URL(database.url("pod"));
    pod.host = new URL(moved).host;
    await stage.makeSecret("myzel-database", { "engine-url": moved, "pod-url": pod.href });
    await deployEngine(clients, {
      namespace: namespace.name,
      image: ENGINE_IMAGE,
      environment: {
        MYZEL_WORKER_IMAGE: WORKER_IMAGE,
        MYZEL_ROLE_PREFIX: database.rolePrefix,
        MYZEL_MODEL_BASE_URL: (await stage.forPods(stage.model.url, { address: MODEL, port: 443 })).replace(/\/$/, ""),
        MYZEL_RUN_MEMORY: "1Gi",
        MYZEL_RUN_CPU: "1",
      },
      databaseAddress: PLACE.address,
      gitSecrets: `- { repositories: "http://${GIT}:*/*", secret: git-login }`,
    });
  }

  /** Addresses that every pod without a policy reaches, and that runs are kept from. */
  function forbidden(): string[] {
    return [
      `${PLACE.apiService}:443`,
      `${PLACE.address}:6443`,
      kubelet,
      `${neighbour}:443`,
      `${neighbour}:22`,
      `${names}:443`,
      ...KEPT_FROM.flatMap((address) => [`${address}:443`, `${address}:22`, `${address}:80`]),
      `${WORLD}:80`,
    ];
  }

  const allowed = (): string[] => [
    `${MODEL}:443`,
    `${GIT}:443`,
    `${WORLD}:443`,
    `${WORLD}:22`,
    `${names}:53`,
    DATABASE,
  ];

  async function engines(): Promise<string[]> {
    // Of the Deployment: a pod of another test, that only bears an engine's labels, may still be shown as ready.
    const labelSelector = "app.kubernetes.io/component=engine,pod-template-hash";
    const { items } = await stage.clients.core.listNamespacedPod({ namespace: stage.namespace.name, labelSelector });
    return items
      .filter(({ status }) => status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True"))
      .map(({ status }) => status?.podIP ?? "");
  }

  test("a run goes its whole way; its agent reaches the model, git, names and the database's port, and nothing else", async () => {
    // The kubelet's probes reach in, and the engines reach the database.
    await eventually("both engines are ready", async () => (await engines()).length === 2, 120_000);
    const script = Buffer.from(reachScript([...allowed(), ...forbidden()])).toString("base64");
    const commands = [
      `echo ${script} | base64 -d > /tmp/reach.cjs`,
      "node /tmp/reach.cjs",
      "echo done > done.txt",
      "git add done.txt",
      "git commit -qm Done",
    ];
    const { result } = await stage.work({
      prompt: `RUN:${commands.join(" && ")}`,
      repo_url: repository,
      branch: "behind-policies",
    });
    assert.equal(result["success"], true, JSON.stringify(result));
    assert.equal(stage.remote.file("behind-policies", "done.txt"), "done\n");
    assert.deepEqual(reachedIn(textsOf(stage.model.requests.at(-1), "user")), allowed());
  });

  test("a pod without a policy reaches all of that: it is the policy that keeps an agent from it", async () => {
    const pod = { namespace: outside.name, name: "free", labels: {} };
    const targets = [...allowed(), ...forbidden()];
    assert.deepEqual(await reachedFrom(stage.clients, pod, targets), targets);
  });

  test("an engine reaches names, the API server and the database, and neither kubelets nor metadata", async () => {
    const metadata = KEPT_FROM[0];
    const pod = { namespace: stage.namespace.name, name: "as-an-engine", labels: ENGINE };
    const may = [`${PLACE.apiService}:443`, `${PLACE.address}:6443`, DATABASE, `${names}:53`];
    const mayNot = [kubelet, `${metadata}:80`, `${neighbour}:22`];
    assert.deepEqual(await reachedFrom(stage.clients, pod, [...may, ...mayNot]), may);
  });

  test("nobody reaches in: not to an engine, not to a run", async () => {
    const run = { namespace: stage.namespace.name, name: "as-a-run", labels: RUN };
    const targets = [`${await listeningPod(stage.clients, run, [443])}:443`];
    for (const engine of await engines()) targets.push(`${engine}:8080`);
    assert.equal(targets.length, 3);
    const inside = { namespace: stage.namespace.name, name: "other", labels: {} };
    for (const pod of [inside, { ...inside, namespace: outside.name }]) {
      assert.deepEqual(await reachedFrom(stage.clients, pod, targets), [], pod.namespace);
    }
  });

  test("the try overlay's Postgres is reached by engines and runs alone, and reaches nothing", async () => {
    const file = await readFile(join(DEPLOY, "overlays/try/network.yaml"), "utf8");
    for (const policy of loadAll(file) as KubernetesObject[]) {
      policy.metadata.namespace = stage.namespace.name;
      // Production's of the same name is there.
      policy.metadata.name = `try-${policy.metadata.name}`;
      await createObject(stage.clients.config, policy);
    }
    const { namespace, clients } = stage;
    const labels = { "app.kubernetes.io/name": "postgres" };
    const listener = { namespace: namespace.name, name: "postgres", labels };
    const postgres = `${await listeningPod(clients, listener, [5432])}:5432`;
    const from = (name: string, by: Record<string, string>, where = namespace.name) =>
      reachedFrom(clients, { namespace: where, name, labels: by }, [postgres]);
    assert.deepEqual(await from("engine-to-postgres", ENGINE), [postgres]);
    assert.deepEqual(await from("run-to-postgres", RUN), [postgres]);
    assert.deepEqual(await from("other-to-postgres", {}), []);
    assert.deepEqual(await from("run-elsewhere", RUN, outside.name), []);
    const out = [`${WORLD}:443`, DATABASE, `${names}:53`, `${neighbour}:443`];
    const second = { ...listener, name: "postgres-reaching-out" };
    assert.deepEqual(await reachedFrom(clients, second, out), []);
  });
});
