/** `myzel doctor --try-pod`: a real Job in a real API server; its kubelet is played. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import type { V1Pod } from "@kubernetes/client-node";
import type { Check } from "../../engine/check.ts";
import { checkCluster, type ProfileToCheck } from "../../engine/launch/kubernetes/doctor/check-cluster.ts";
import { checkReport } from "../../engine/launch/kubernetes/doctor/trial.ts";
import { parseTrialReport, trialScript, type TrialReport } from "../../engine/launch/kubernetes/doctor/trial-script.ts";
import { eventually } from "../support/waiting.ts";
import { makeEngineAccount } from "./deploy/engine-account.ts";
import { newSpec, openLauncher, SETTINGS } from "./launcher-support.ts";
import { clientsFor, type Clients } from "./support/clients.ts";
import { freshNamespace, type FreshNamespace } from "./support/fresh-namespace.ts";
import { playedNode, type PlayedNode } from "./support/played-node.ts";
import { bindPod, bringPodTo } from "./support/played-pod.ts";
import * as moments from "./support/pod-moments.ts";
import { playingProblem, sharedKubeconfig } from "./support/shared-cluster.ts";

const MODEL = new URL("https://api.anthropic.com");
const KEPT = { api: "timeout", apiAddress: "10.96.0.1:443", names: "reached", model: "reached" };

describe("a trial pod", { skip: await playingProblem(), concurrency: 3 }, () => {
  let admin: string;
  let clients: Clients;
  let node: PlayedNode;
  let scratch: string;
  const namespaces: FreshNamespace[] = [];
  before(async () => {
    admin = await sharedKubeconfig();
    clients = clientsFor(admin);
    node = await playedNode(clients);
    scratch = await mkdtemp(join(tmpdir(), "myzel-trial-"));
  });
  after(async () => {
    for (const namespace of namespaces) await namespace.remove();
    await node?.remove();
    await rm(scratch, { recursive: true, force: true });
  });
  const fresh = async (): Promise<string> => {
    const namespace = await freshNamespace(clients, "trial");
    namespaces.push(namespace);
    return namespace.name;
  };
  const profile = (name: string, given: Partial<ProfileToCheck> = {}): ProfileToCheck => {
    const { credential } = newSpec();
    return { name, image: null, cpu: null, memory: null, credential, podTemplate: null, ...given };
  };
  async function look(
    where: { namespace: string; kubeconfig: string },
    profiles: ProfileToCheck[],
    timeoutMs = 120_000,
  ) {
    const checks = await checkCluster({
      settings: { ...SETTINGS, ...where, workerImage: "registry.example/worker:1" },
      maxLiveRuns: 10,
      credentials: [],
      profiles,
      tryPod: { timeoutMs },
    });
    return new Map(checks.map((check) => [check.name, check]));
  }
  /** The trial pod of this image, bound to the played node. */
  async function podOf(namespace: string, image: string): Promise<V1Pod> {
    const pod = await eventually(`the trial pod of ${image}`, async () => {
      const { items } = await clients.core.listNamespacedPod({ namespace });
      return items.find(({ spec }) => spec?.containers[0]?.image === image);
    });
    await bindPod(clients, pod, node);
    return pod;
  }
  const nothingLeft = (namespace: string) =>
    eventually("nothing of the trial is left", async () => {
      const jobs = await clients.batch.listNamespacedJob({ namespace });
      return jobs.items.every(({ metadata }) => metadata?.deletionTimestamp !== undefined);
    });
  const told = (checks: Map<string, Check>, name: string, status: Check["status"], message: RegExp) => {
    const check = checks.get(name);
    assert.equal(check?.status, status, `${name}: ${check?.message ?? [...checks.keys()].join()}`);
    assert.match(check?.message ?? "", message);
  };

  test("with the engine's own rights: each image is tried, what it tells is told, and nothing is left", async () => {
    const namespace = await fresh();
    const kubeconfig = join(scratch, "engine.kubeconfig");
    await makeEngineAccount(clients, namespace, kubeconfig);
    const launcher = await openLauncher({ kubeconfig: admin, namespace });
    const looking = look({ namespace, kubeconfig }, [profile("a"), profile("b", { image: "nowhere.invalid/x:1" })]);
    const good = await podOf(namespace, "registry.example/worker:1");
    const bad = await podOf(namespace, "nowhere.invalid/x:1");
    assert.equal(good.metadata?.labels?.["app.kubernetes.io/managed-by"], "myzel");
    assert.ok(!JSON.stringify(good.spec).includes("secretKeyRef"));
    // The engine takes it for nobody's run and leaves it alone.
    assert.deepEqual(await launcher.observe(), []);
    await launcher.close();
    await bringPodTo(clients, bad, moments.imagePullBackOff("agent"));
    await bringPodTo(clients, good, moments.failed("agent", 0, JSON.stringify(KEPT)));
    const checks = await looking;
    told(checks, "image registry.example/worker:1", "ok", /^pulled, started and ended on .* within [\d.]+ s$/);
    told(checks, "image nowhere.invalid/x:1", "problem", /image of agent cannot be had \(ImagePullBackOff/);
    told(checks, "network policy", "ok", /enforced: .* does not reach the API server at 10.96.0.1:443 \(timeout\)/);
    told(checks, "model", "ok", /reaches api.anthropic.com/);
    await nothingLeft(namespace);
  });

  test("a pod that a rule refuses is told at once; one without room when the time is over", async () => {
    const namespace = await fresh();
    const priority = { podTemplate: { spec: { priorityClassName: "no-such-class" } } };
    const where = { namespace, kubeconfig: admin };
    const refused = await look(where, [profile("classy", { ...priority, image: "a" })]);
    told(refused, "image a", "problem", /^The cluster refuses the run's pod: no PriorityClass with name no-such-class/);
    told(refused, "network policy", "warning", /none covers runs/);
    const image = "image registry.example/worker:1";
    let full = await look(where, [profile("any")], 3_000);
    // A slow scheduler has said nothing by then.
    if (!/No node has room/.test(full.get(image)?.message ?? "")) full = await look(where, [profile("any")], 30_000);
    told(full, image, "unknown", /^Not within \d+ s: No node has room for its pod: /);
    await nothingLeft(namespace);
  });

  test("an image that is none of a worker is told by how its program ends", async () => {
    const namespace = await fresh();
    const looking = look({ namespace, kubeconfig: admin }, [profile("a")]);
    const pod = await podOf(namespace, "registry.example/worker:1");
    await bringPodTo(clients, pod, moments.failed("agent", 128, "no such file or directory"));
    told(await looking, "image registry.example/worker:1", "problem", /exit code 128 .*no such file.*a worker image\?/);
  });
});

describe("what a trial pod tells of the network", () => {
  const report = (given: Partial<TrialReport>) =>
    checkReport({ ...KEPT, ...given }, { policies: null, model: MODEL }).map(({ status, message }) => ({
      status,
      message,
    }));
  const cases: [string, Partial<TrialReport>, Check["status"], RegExp][] = [
    ["kept", {}, "ok", /^enforced/],
    ["rejected", { api: "ECONNREFUSED" }, "ok", /^enforced.*ECONNREFUSED/],
    ["not kept", { api: "reached" }, "warning", /^not enforced: .* reaches the API server at 10.96.0.1:443/],
    ["no network at all", { names: "timeout", model: "timeout" }, "unknown", /reaches nothing at all/],
    ["no address", { api: null }, "unknown", /not told where/],
  ];
  for (const [what, given, status, message] of cases) {
    test(what, () => {
      const [policy] = report(given);
      assert.equal(policy?.status, status);
      assert.match(policy?.message ?? "", message);
    });
  }

  test("the model that is out of reach is told with its reason", () => {
    assert.match(report({ model: "timeout" })[1]?.message ?? "", /does not reach api.anthropic.com \(timeout\)/);
    const noNames = report({ names: "ENOTFOUND", model: "ENOTFOUND", api: "reached" })[1];
    assert.match(noNames?.message ?? "", /cannot resolve api.anthropic.com \(ENOTFOUND\)/);
  });

  test("its program says what is reached and what is not, as it is", async () => {
    const server = createServer((socket) => socket.end()).listen(0, "127.0.0.1");
    await once(server, "listening");
    const directory = await mkdtemp(join(tmpdir(), "myzel-trial-"));
    try {
      const { port } = server.address() as AddressInfo;
      const tell = async (apiPort: string): Promise<TrialReport | null> => {
        const path = join(directory, "told");
        const script = trialScript(new URL(`http://localhost:${port}`));
        const env = {
          KUBERNETES_SERVICE_HOST: "127.0.0.1",
          KUBERNETES_SERVICE_PORT: apiPort,
          MYZEL_TERMINATION_LOG: path,
        };
        await promisify(execFile)(process.execPath, ["--eval", script], { env });
        return parseTrialReport(await readFile(path, "utf8"));
      };
      const kept = await tell("1");
      assert.deepEqual(kept, { api: "ECONNREFUSED", apiAddress: "127.0.0.1:1", names: "reached", model: "reached" });
      assert.equal((await tell(String(port)))?.api, "reached");
      assert.equal(parseTrialReport("Killed"), null);
    } finally {
      server.close();
      await rm(directory, { recursive: true });
    }
  });
});
