/** The engine's Role in deploy/ against the API server's own audit log: exactly what the launcher uses. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { loadAll } from "js-yaml";
import { neededRights, rightText, usefulRights } from "../../engine/launch/kubernetes/doctor/rights.ts";
import type { Launcher } from "../../engine/launch/launcher.ts";
import { eventually } from "../support/waiting.ts";
import { ENGINE_ACCOUNT_FILE, makeEngineAccount } from "./deploy/engine-account.ts";
import { launchBound, newSpec, openLauncher } from "./launcher-support.ts";
import { clientsFor, type Clients } from "./support/clients.ts";
import { startCluster, type TestCluster } from "./support/cluster.ts";
import { freshNamespace } from "./support/fresh-namespace.ts";
import { playedNode, type PlayedNode } from "./support/played-node.ts";
import { bringPodTo } from "./support/played-pod.ts";
import * as moments from "./support/pod-moments.ts";
import { ownClusterProblem } from "./support/shared-cluster.ts";

interface AuditEvent {
  verb: string;
  user: { username: string };
  objectRef?: { resource: string; subresource?: string };
  responseStatus?: { code: number };
}

interface Rule {
  resources: string[];
  resourceNames?: string[];
  verbs: string[];
}

describe("the engine's Role", { skip: await ownClusterProblem() }, () => {
  let scratch: string;
  let cluster: TestCluster;
  let clients: Clients;
  let node: PlayedNode;
  before(async () => {
    scratch = await mkdtemp(join(tmpdir(), "myzel-audit-"));
    const policy = { apiVersion: "audit.k8s.io/v1", kind: "Policy", rules: [{ level: "Metadata" }] };
    await writeFile(join(scratch, "policy.json"), JSON.stringify(policy));
    const flags = [`--audit-policy-file=${join(scratch, "policy.json")}`, `--audit-log-path=${join(scratch, "log")}`];
    cluster = await startCluster({ apiServerFlags: flags });
    clients = clientsFor(cluster.kubeconfig);
    node = await playedNode(clients);
  });
  after(async () => {
    await node?.remove();
    await cluster?.stop();
    await rm(scratch, { recursive: true, force: true });
  });

  /** What the account asked for, as `verb resource`, by whether it was allowed. */
  async function askedFor(account: string): Promise<{ allowed: Set<string>; refused: Set<string> }> {
    const asked = { allowed: new Set<string>(), refused: new Set<string>() };
    for (const line of (await readFile(join(scratch, "log"), "utf8")).split("\n").filter(Boolean)) {
      const { user, verb, objectRef, responseStatus } = JSON.parse(line) as AuditEvent;
      if (user.username !== account || objectRef === undefined) continue;
      const resource = [objectRef.resource, objectRef.subresource].filter(Boolean).join("/");
      (responseStatus?.code === 403 ? asked.refused : asked.allowed).add(`${verb} ${resource}`);
    }
    return asked;
  }

  test("grants each verb that the launcher uses, and none that it does not", async () => {
    const namespace = (await freshNamespace(clients, "role")).name;
    const kubeconfig = join(scratch, "engine.kubeconfig");
    await makeEngineAccount(clients, namespace, kubeconfig);
    const body = { metadata: { name: "myzel-claude" }, stringData: { token: "token" } };
    await clients.core.createNamespacedSecret({ namespace, body });
    const launcher = await openLauncher(
      { kubeconfig, namespace },
      { instance: "myzel", stuckAfterMs: 1, keepLimitMs: 1 },
    );
    try {
      await useEverything(launcher, namespace);
    } finally {
      await launcher.close();
    }
    const { allowed, refused } = await askedFor(`system:serviceaccount:${namespace}:myzel-engine`);
    assert.deepEqual([...refused], []);
    assert.deepEqual([...allowed].toSorted(), (await granted(() => [])).toSorted());
  });

  test("grants what myzel doctor asks for, of the very objects, and nothing else", async () => {
    const rights = [...neededRights("myzel"), ...usefulRights("myzel-claude")];
    const names = ({ resourceNames }: Rule) => resourceNames ?? [];
    assert.deepEqual(rights.map(rightText).toSorted(), (await granted(names)).toSorted());
  });

  async function useEverything(launcher: Launcher, namespace: string): Promise<void> {
    const stopWatching = launcher.watch(() => {});
    assert.equal(await launcher.credentialProblem(newSpec().credential), null);
    const played = { clients, namespace, node };

    const works = await launchBound(launcher, played);
    await launcher.launch(works.spec);
    await bringPodTo(clients, works.pod, moments.running("checkout"));
    await eventually("it is seen running", async () => {
      const observations = await launcher.observe();
      return observations.some(({ runId, state }) => runId === works.spec.runId && state === "running");
    });
    // There is no kubelet that could answer.
    await readAll(launcher.logs(works.spec.jobName, { follow: false })).catch(() => {});

    const stuck = await launchBound(launcher, played);
    await bringPodTo(clients, stuck.pod, moments.imagePullBackOff("checkout"));
    await eventually("the stuck run is given up", async () => {
      const seen = (await launcher.observe()).find(({ runId }) => runId === stuck.spec.runId);
      return seen?.end?.infrastructure?.code === "image_pull_failed" || seen === undefined || deleted(stuck.pod);
    });

    const refused = newSpec({ podTemplate: { spec: { priorityClassName: "no-such-class" } } });
    await launcher.launch(refused);
    await eventually("a refused run says why", async () => {
      const seen = (await launcher.observe()).find(({ runId }) => runId === refused.runId);
      return /no-such-class/.test(seen?.waiting ?? seen?.end?.infrastructure?.error ?? "");
    });
    await bringPodTo(clients, works.pod, moments.running("agent"));
    await eventually("its agent is seen running", async () => {
      const observations = await launcher.observe(new Set([works.spec.runId]));
      return observations.some(({ phase }) => phase === "agent");
    });
    await eventually("the stopped run is asked, and then deleted", async () => {
      await launcher.stop(works.spec.jobName, "end of the test");
      return deleted(works.pod);
    });
    await stopWatching();
  }

  async function deleted(pod: { metadata?: { name?: string; namespace?: string } }): Promise<boolean> {
    const key = { name: pod.metadata?.name ?? "", namespace: pod.metadata?.namespace ?? "" };
    return (await clients.core.readNamespacedPod(key)).metadata?.deletionTimestamp !== undefined;
  }
});

async function readAll(pieces: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of pieces);
}

/** The Role's verbs, as `verb resource`, with the names of objects that `namesOf` shows. */
async function granted(namesOf: (rule: Rule) => string[]): Promise<string[]> {
  const objects = loadAll(await readFile(ENGINE_ACCOUNT_FILE, "utf8")) as { kind: string; rules?: Rule[] }[];
  const rules = objects.find(({ kind }) => kind === "Role")?.rules ?? [];
  return rules.flatMap((rule) =>
    rule.verbs.map((verb) => `${verb} ${[...rule.resources.slice(0, 1), ...namesOf(rule)].join("/")}`),
  );
}
