import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { load } from "js-yaml";
import { eventually } from "../support/waiting.ts";
import { createObject } from "./deploy/create-object.ts";
import { accountMay } from "./deploy/engine-account.ts";
import { kustomizeProblem, render, type KubernetesObject } from "./deploy/kustomize.ts";
import { reaches } from "./deploy/network-reach.ts";
import type { Clients } from "./support/clients.ts";
import { freshNamespace, type FreshNamespace } from "./support/fresh-namespace.ts";
import { kubernetesProblem, sharedKubeconfig } from "./support/shared-cluster.ts";

const DEPLOY = join(import.meta.dirname, "../../deploy");
const noCluster = await kubernetesProblem();
const TOKEN = "sk-ant-oat01-token-of-a-test";

/** A copy of deploy/ with the Secrets of the try overlay, made as people make them. */
async function copyOfDeploy(): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), "myzel-deploy-"));
  await cp(DEPLOY, copy, { recursive: true, filter: (path) => !path.endsWith("/secrets") });
  const made = spawnSync(join(copy, "overlays/try/make-secrets.sh"), { input: `${TOKEN}\n`, encoding: "utf8" });
  assert.equal(made.status, 0, made.stderr);
  return copy;
}

function named(objects: readonly KubernetesObject[], kind: string, name: string): KubernetesObject {
  const found = objects.find((object) => object.kind === kind && object.metadata.name.startsWith(name));
  assert.ok(found, `${kind} ${name}`);
  return found;
}

describe("make-secrets.sh", () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "myzel-secrets-"));
  });
  after(() => rm(directory, { recursive: true }));
  const make = (input: string) =>
    spawnSync(join(DEPLOY, "overlays/try/make-secrets.sh"), [directory], { input, encoding: "utf8" });

  test("refuses to go on without a token", () => {
    const run = make("\n");
    assert.equal(run.status, 2);
    assert.match(run.stderr, /no token was given/);
  });

  test("makes files that only their owner can read, says no secret, and keeps what is there", async () => {
    assert.equal(make(`${TOKEN}\n`).status, 0);
    const first = await readFile(join(directory, "secrets/run-key"));
    assert.equal(first.length, 32);
    const again = make("");
    assert.equal(again.status, 0);
    assert.equal(again.stdout + again.stderr, "");
    assert.deepEqual(await readFile(join(directory, "secrets/run-key")), first);
    assert.equal(await readFile(join(directory, "secrets/claude-token"), "utf8"), TOKEN);
    for (const name of ["run-key", "claude-token", "database.env"]) {
      assert.equal((await stat(join(directory, "secrets", name))).mode & 0o777, 0o600, name);
    }
  });
});

describe("deploy/", { skip: await kustomizeProblem(), timeout: 300_000 }, () => {
  let copy: string;
  const overlays = new Map<string, KubernetesObject[]>();
  before(async () => {
    copy = await copyOfDeploy();
    for (const name of ["try", "production"]) overlays.set(name, await render(join(copy, "overlays", name)));
  });
  after(() => rm(copy, { recursive: true }));
  const objects = (overlay: string): KubernetesObject[] => overlays.get(overlay) ?? [];

  test("an agent reaches the world's HTTPS and SSH, and no address of a cluster", () => {
    for (const overlay of ["try", "production"]) {
      const policy = named(objects(overlay), "NetworkPolicy", "myzel-runs") as unknown as {
        spec: { egress: Parameters<typeof reaches>[0]; podSelector: unknown };
      };
      const { egress } = policy.spec;
      for (const address of ["160.79.104.10", "140.82.121.3", "2607:6bc0::10"]) {
        assert.ok(reaches(egress, address, 443), `${address}:443`);
        assert.ok(reaches(egress, address, 22), `${address}:22`);
        assert.ok(!reaches(egress, address, 6443), `${address}:6443`);
      }
      for (const address of [
        "10.96.0.1",
        "10.244.1.7",
        "172.18.0.2",
        "192.168.49.2",
        "100.64.0.1",
        "169.254.169.254",
      ]) {
        for (const port of [443, 22, 6443, 10250, 80]) assert.ok(!reaches(egress, address, port), `${address}:${port}`);
      }
      for (const address of ["fd00::1", "fe80::1", "64:ff9b::a60:1"])
        assert.ok(!reaches(egress, address, 443), address);
    }
  });

  test("the files of the operator that come along can be read by the engine", async () => {
    for (const name of ["git-secrets.yaml", "pod-template.yaml"]) {
      const content = load(await readFile(join(DEPLOY, "base", name), "utf8"));
      assert.deepEqual(content, name === "git-secrets.yaml" ? [] : {});
    }
  });

  test("no secret lies in the checkout's own files", async () => {
    for (const object of objects("production")) {
      if (object.kind === "Secret") assert.equal(object["data"] ?? object["stringData"], undefined);
    }
    const claude = named(objects("try"), "Secret", "myzel-claude") as unknown as { data: { token: string } };
    assert.equal(Buffer.from(claude.data.token, "base64").toString(), TOKEN);
  });

  describe("in a cluster", { skip: noCluster }, () => {
    let clients: Clients;
    const namespaces: FreshNamespace[] = [];
    before(async () => {
      const { clientsFor } = await import("./support/clients.ts");
      clients = clientsFor(await sharedKubeconfig());
    });
    after(async () => {
      for (const namespace of namespaces) await namespace.remove();
    });

    /** Creates everything of an overlay in a namespace of its own. */
    async function apply(all: readonly KubernetesObject[]): Promise<string> {
      const namespace = await freshNamespace(clients, "deploy");
      namespaces.push(namespace);
      for (const object of all) {
        if (object.kind === "Namespace") await createObject(clients.config, object, { dryRun: true });
        else await createObject(clients.config, inNamespace(object, namespace.name));
      }
      return namespace.name;
    }

    for (const overlay of ["try", "production"]) {
      test(`the overlay ${overlay} is taken whole, and its pods pass the namespace's own rules`, async () => {
        const all = objects(overlay);
        const { metadata } = named(all, "Namespace", "myzel");
        assert.equal(metadata.labels?.["pod-security.kubernetes.io/enforce"], "restricted");
        const namespace = await apply(all);
        // A Deployment is taken whatever its pods are like; its pods are not.
        const wanted = overlay === "try" ? 3 : 2;
        await eventually(`${wanted} pods are taken`, async () => {
          const { items } = await clients.core.listNamespacedPod({ namespace });
          return items.length === wanted;
        });
      });
    }

    test("production's migration is a Job whose pod passes as well", async () => {
      const text = await readFile(join(DEPLOY, "overlays/production/migrate.yaml"), "utf8");
      const namespace = await apply([load(text) as KubernetesObject]);
      await eventually("its pod is taken", async () => {
        const { items } = await clients.core.listNamespacedPod({ namespace });
        return items.length === 1;
      });
    });

    test("the engine's account may do what its Role says, in its namespace, and nothing else", async () => {
      const all = objects("production");
      const namespace = await apply(all.filter(({ kind }) => /^(ServiceAccount|Role|RoleBinding)$/.test(kind)));
      const may = (verb: string, resource: string, where = namespace, name?: string): Promise<boolean> => {
        const [plural = "", subresource] = resource.split("/");
        return accountMay(clients, namespace, {
          verb,
          namespace: where,
          resource: plural,
          group: plural === "jobs" ? "batch" : "",
          ...(subresource === undefined ? {} : { subresource }),
          ...(name === undefined ? {} : { name }),
        });
      };
      await eventually("its Role is in force", () => may("list", "pods"));
      for (const { apiGroups, resources, verbs, resourceNames } of rulesOf(named(all, "Role", "myzel-engine"))) {
        assert.deepEqual(apiGroups, resources[0] === "jobs" ? ["batch"] : [""]);
        for (const verb of verbs) assert.ok(await may(verb, resources[0] ?? "", namespace, resourceNames?.[0]), verb);
      }
      for (const verb of ["get", "list", "create", "update"]) assert.ok(!(await may(verb, "secrets")), verb);
      assert.ok(!(await may("get", "secrets", namespace, "myzel-pods")));
      assert.ok(!(await may("create", "pods")));
      assert.ok(!(await may("create", "pods/exec")));
      assert.ok(!(await may("update", "jobs")));
      assert.ok(!(await may("get", "configmaps")));
      assert.ok(!(await may("create", "jobs", "default")));
    });
  });
});

interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
  resourceNames?: string[];
}

function rulesOf(role: KubernetesObject): Rule[] {
  return role["rules"] as Rule[];
}

/** The object, and those it speaks of, in another namespace than deploy/ says. */
function inNamespace(object: KubernetesObject, namespace: string): KubernetesObject {
  const moved = structuredClone(object);
  moved.metadata.namespace = namespace;
  if (moved.kind !== "RoleBinding") return moved;
  for (const subject of moved["subjects"] as { namespace?: string }[]) subject.namespace = namespace;
  return moved;
}
