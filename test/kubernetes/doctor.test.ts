/** `myzel doctor` and the cluster: each sentence, on a real API server and with real accounts. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { NetworkingV1Api, RbacAuthorizationV1Api } from "@kubernetes/client-node";
import { load } from "js-yaml";
import type { Check } from "../../engine/check.ts";
import type { KubernetesLauncherSettings } from "../../engine/launch/kubernetes/launcher-settings.ts";
import {
  checkCluster,
  type ClusterQuestion,
  type ProfileToCheck,
} from "../../engine/launch/kubernetes/doctor/check-cluster.ts";
import { myzel } from "../cli/run-myzel.ts";
import { testDatabase } from "../support/postgres.ts";
import { eventually } from "../support/waiting.ts";
import { createObject } from "./deploy/create-object.ts";
import { accountMay, makeEngineAccount } from "./deploy/engine-account.ts";
import type { KubernetesObject } from "./deploy/kustomize.ts";
import { newSpec, SETTINGS } from "./launcher-support.ts";
import { clientsFor, type Clients } from "./support/clients.ts";
import { freshNamespace, type FreshNamespace } from "./support/fresh-namespace.ts";
import { kubernetesProblem, sharedKubeconfig } from "./support/shared-cluster.ts";

const VALUE = "sk-ant-oat01-never-shown";
const POLICY = {
  podSelector: { matchLabels: { "app.kubernetes.io/managed-by": "myzel" } },
  policyTypes: ["Egress"],
};

describe("myzel doctor in a cluster", { skip: await kubernetesProblem() }, () => {
  let admin: string;
  let clients: Clients;
  let scratch: string;
  const namespaces: FreshNamespace[] = [];
  before(async () => {
    admin = await sharedKubeconfig();
    clients = clientsFor(admin);
    scratch = await mkdtemp(join(tmpdir(), "myzel-doctor-"));
  });
  after(async () => {
    for (const namespace of namespaces) await namespace.remove();
    await rm(scratch, { recursive: true, force: true });
  });

  const fresh = async (): Promise<string> => {
    const namespace = await freshNamespace(clients, "doctor");
    namespaces.push(namespace);
    return namespace.name;
  };
  const secret = (namespace: string, name: string, ...keys: string[]) => {
    const stringData = Object.fromEntries(keys.map((key) => [key, VALUE]));
    return clients.core.createNamespacedSecret({ namespace, body: { metadata: { name }, stringData } });
  };
  const file = async (name: string, text: string): Promise<string> => {
    const path = join(scratch, name);
    await writeFile(path, text);
    return path;
  };
  const profile = (given: Partial<ProfileToCheck> = {}): ProfileToCheck => {
    const { credential } = newSpec();
    return { name: "default", image: null, cpu: null, memory: null, credential, podTemplate: null, ...given };
  };

  interface Given extends Partial<Omit<ClusterQuestion, "settings">> {
    settings?: Partial<KubernetesLauncherSettings>;
  }
  /** The checks by name; a name that comes twice has both messages. */
  async function look(namespace: string, { settings, ...given }: Given = {}): Promise<Map<string, Check>> {
    const checks = await checkCluster({
      settings: {
        ...SETTINGS,
        instance: "myzel",
        kubeconfig: admin,
        namespace,
        ...settings,
      },
      maxLiveRuns: 10,
      credentials: [newSpec().credential],
      profiles: [profile()],
      tryPod: null,
      ...given,
    });
    assert.ok(!JSON.stringify(checks).includes(VALUE));
    return new Map(checks.map((check) => [check.name, check]));
  }
  const told = (checks: Map<string, Check>, name: string, status: Check["status"], message: RegExp, mend?: RegExp) => {
    const check = checks.get(name);
    assert.equal(check?.status, status, `${name}: ${check?.message ?? [...checks.keys()].join()}`);
    assert.match(check?.message ?? "", message);
    if (mend !== undefined) assert.match(check?.mend ?? "", mend);
  };

  test("where all is well everything is well, and what only a pod can tell is said to be unknown", async () => {
    const namespace = await fresh();
    await secret(namespace, "myzel-claude", "token");
    await secret(namespace, "myzel-pods", "database-url", "token-half");
    await secret(namespace, "acme", "username", "password");
    await clients.config.makeApiClient(NetworkingV1Api).createNamespacedNetworkPolicy({
      namespace,
      body: { metadata: { name: "runs" }, spec: POLICY },
    });
    const gitSecretsFile = await file("good.yaml", "- { repositories: https://github.com/acme/*, secret: acme }");
    const checks = await look(namespace, { settings: { gitSecretsFile } });
    told(
      checks,
      "cluster",
      "ok",
      /^Kubernetes 1\.\d+\.\d+: https:\/\/127\.0\.0\.1:\d+, found by the context ".*" of \//,
    );
    told(checks, "permissions", "ok", /^myzel-test-admin in the namespace .* may do all/);
    told(checks, "namespace", "ok", /enforces the restricted standard/);
    told(checks, "pod login", "ok", /myzel-pods has the keys database-url, token-half/);
    told(checks, "claude login default", "ok", /has the key "token"/);
    told(checks, "git login acme", "ok", /has the keys password/);
    told(checks, "pods", "ok", /takes the Job and the pod of a run, for one profile/);
    told(checks, "image", "unknown", /can pull myzel-worker: not tried/, /--try-pod/);
    told(checks, "network policy", "unknown", /runs covers runs; whether .* was not tried/, /--try-pod/);
    assert.ok(![...checks.values()].some(({ status }) => status === "problem" || status === "warning"));
    const { items } = await clients.batch.listNamespacedJob({ namespace });
    assert.equal(items.length, 0);
  });

  test("the Secrets of profiles: missing, without the key, not to be read, of another launcher's kind", async () => {
    const namespace = await fresh();
    await secret(namespace, "npm", "token");
    const of = (name: string, secrets: ProfileToCheck["secrets"]) => profile({ name, ...(secrets && { secrets }) });
    const npm = (secret_key: string) => ({ NPM_TOKEN: { secret_name: "npm", secret_key } });
    const profiles = [
      of("well", npm("token")),
      of("keyless", npm("password")),
      of("missing", { NPM_TOKEN: { secret_name: "nowhere", secret_key: "token" } }),
      of("process", { NPM_TOKEN: { env_var: "NPM_TOKEN" } }),
      of("pods", { NPM_TOKEN: { secret_name: "myzel-pods", secret_key: "database-url" } }),
      of("none", undefined),
    ];
    const checks = await look(namespace, { profiles });
    told(checks, "secrets of well", "ok", /^NPM_TOKEN: their Secrets have the keys$/);
    told(checks, "secrets of keyless", "problem", /the Secret npm has no key "password"/, /^add it in /);
    told(
      checks,
      "secrets of missing",
      "problem",
      /no Secret nowhere/,
      /create secret generic nowhere --from-file=token=FILE/,
    );
    told(checks, "secrets of process", "problem", /^The secret NPM_TOKEN of the profile "process" lies in a variable/);
    told(checks, "secrets of pods", "problem", /which is for checkout and publish: no agent may have it/);
    assert.equal(checks.has("secrets of none"), false);
    const kubeconfig = join(scratch, "secrets.kubeconfig");
    await makeEngineAccount(clients, namespace, kubeconfig);
    const asEngine = await look(namespace, { profiles, settings: { kubeconfig } });
    told(asEngine, "secrets of well", "unknown", /this login may not read the Secret npm/, /describe secret npm/);
  });

  test("with the engine's own account says what that may not know, and is content with its Role", async () => {
    const namespace = await fresh();
    const kubeconfig = join(scratch, "engine.kubeconfig");
    await makeEngineAccount(clients, namespace, kubeconfig);
    await secret(namespace, "myzel-claude", "token");
    const gitSecretsFile = await file(
      "two.yaml",
      "- { repositories: https://a/*, secret: one }\n- { repositories: https://b/*, secret: two }",
    );
    const team = { ...newSpec().credential, name: "team", secret_name: "team", secret_key: "token" };
    const credentials = [newSpec().credential, team];
    const checks = await look(namespace, { settings: { kubeconfig, gitSecretsFile }, credentials });
    told(checks, "permissions", "ok", /^system:serviceaccount:.*:myzel-engine in the namespace .* may do all/);
    told(checks, "namespace", "unknown", /may not read it/, /kubectl get namespace .* --show-labels/);
    told(checks, "pod login", "ok", /myzel-pods is there; its values are written at the first launch/);
    told(checks, "claude login default", "ok", /has the key "token"/);
    told(checks, "claude login team", "unknown", /whether the Secret team is there/, /add team to resourceNames/);
    told(checks, "git logins", "unknown", /whether one, two are there/, /get secrets one two/);
    told(checks, "pods", "ok", /takes the Job of a run/);
    told(checks, "pod rules", "unknown", /this login makes no pods itself/, /--try-pod/);
    told(checks, "network policy", "unknown", /not tried/, /--try-pod/);
    assert.ok(![...checks.values()].some(({ status }) => status === "problem" || status === "warning"));
  });

  test("names each verb that the account lacks, and what is lost without it", async () => {
    const namespace = await fresh();
    const kubeconfig = join(scratch, "poor.kubeconfig");
    await makeEngineAccount(clients, namespace, kubeconfig);
    const rbac = clients.config.makeApiClient(RbacAuthorizationV1Api);
    const role = { namespace, name: "myzel-engine" };
    const rules = [
      { apiGroups: ["batch"], resources: ["jobs"], verbs: ["get", "list", "watch", "patch"] },
      { apiGroups: [""], resources: ["pods"], verbs: ["list", "watch", "delete"] },
      { apiGroups: [""], resources: ["pods/log"], verbs: ["get"] },
      { apiGroups: [""], resources: ["secrets"], verbs: ["get"] },
    ];
    await rbac.replaceNamespacedRole({ ...role, body: { metadata: role, rules } });
    const mayMakeJobs = () => accountMay(clients, namespace, { verb: "create", group: "batch", resource: "jobs" });
    await eventually("the Role is in force", async () => !(await mayMakeJobs()));
    const checks = await look(namespace, { settings: { kubeconfig } });
    const may = "system:serviceaccount:.*:myzel-engine in the namespace .* may not";
    told(checks, "permissions", "problem", new RegExp(`^${may} create jobs, delete jobs, patch secrets/myzel-pods$`));
    told(checks, "permissions", "problem", /jobs/, /service-account.yaml/);
    told(
      checks,
      "patch pods",
      "warning",
      new RegExp(`^${may} patch pods: without it a run that is stopped leaves nothing`),
    );
    told(checks, "list events", "warning", new RegExp(`^${may} list events: without it nobody is told why`));
    told(checks, "pod login", "problem", /may not write the Secret myzel-pods/);
    told(checks, "pods", "unknown", /this login may not make any/);
  });

  test("a namespace that enforces nothing, or is not there, is told with its command", async () => {
    const namespace = await fresh();
    const label = "pod-security.kubernetes.io/enforce";
    const { metadata } = await clients.core.readNamespace({ name: namespace });
    await clients.core.replaceNamespace({ name: namespace, body: { metadata: { ...metadata, labels: {} } } });
    told(
      await look(namespace),
      "namespace",
      "warning",
      /enforces no Pod Security standard/,
      new RegExp(`^kubectl label --overwrite namespace ${namespace} ${label}=restricted$`),
    );
    const none = await look("no-such-namespace");
    told(none, "namespace", "problem", /there is no namespace no-such-namespace/, /kubectl create namespace/);
    assert.deepEqual([...none.keys()], ["cluster", "namespace"]);
  });

  test("Secrets that are missing or lack a key are told by name, and no value is", async () => {
    const namespace = await fresh();
    await secret(namespace, "myzel-claude", "other");
    await secret(namespace, "deploy-key", "ssh-privatekey");
    const text =
      "- { repositories: git@github.com:a/*, secret: deploy-key }\n- { repositories: https://b/*, secret: gone }";
    const checks = await look(namespace, { settings: { gitSecretsFile: await file("bad.yaml", text) } });
    told(checks, "claude login default", "problem", /myzel-claude has no key "token"/);
    told(checks, "git login deploy-key", "problem", /has no key known_hosts; runs of git@github.com:a\/\* need it/);
    told(checks, "git login gone", "problem", /no such Secret; runs of https:\/\/b\/\*/, /with the keys password/);
    told(checks, "pod login", "ok", /myzel-pods is made at the first launch/);
    const missing = await look(await fresh());
    told(missing, "claude login default", "problem", /no Secret myzel-claude .*claude setup-token.*kubectl/);
  });

  test("the Secrets of a deployed engine are looked for by the names that its pods use", async () => {
    const namespace = await fresh();
    const text = await readFile(join(import.meta.dirname, "../../deploy/base/engine.yaml"), "utf8");
    const deployment = load(text) as KubernetesObject;
    await createObject(clients.config, { ...deployment, metadata: { ...deployment.metadata, namespace } });
    await secret(namespace, "myzel-database", "engine-url");
    const checks = await look(namespace);
    told(checks, "engine pods", "warning", /^0 of 2 pods of the Deployment myzel-engine are ready/);
    told(checks, "Secret myzel-database", "problem", /has no key pod-url/);
    told(checks, "Secret myzel-run-key", "problem", /there is none; the engine needs its run-key/, /deploy.README.md/);
    await secret(namespace, "myzel-run-key", "run-key");
    told(await look(namespace), "Secret myzel-run-key", "ok", /has the keys run-key/);
  });

  test("a template that would weaken pods is refused by name: the file's, and each profile's", async () => {
    const podTemplateFile = await file("template.yaml", "spec: { hostNetwork: true }");
    const profiles = [
      profile(),
      profile({ name: "root", podTemplate: { spec: { volumes: [{ name: "a", hostPath: {} }] } } }),
    ];
    const checks = await look(await fresh(), { settings: { podTemplateFile }, profiles });
    told(
      checks,
      "pod template",
      "problem",
      /template.yaml cannot be used: spec.hostNetwork is refused: it would weaken/,
    );
    told(
      checks,
      "profile root",
      "problem",
      /pod_template of the profile "root" .*hostPath is refused/,
      /update profiles/,
    );
    assert.ok(!checks.has("profile default"));
  });

  test("what would refuse a pod is found without making one: limits, quotas, classes, quantities", async () => {
    const namespace = await fresh();
    const limits = [{ type: "Container", max: { memory: "2Gi" } }];
    await clients.core.createNamespacedLimitRange({
      namespace,
      body: { metadata: { name: "tight" }, spec: { limits } },
    });
    const hard = { "limits.memory": "5Gi", "count/jobs.batch": "100" };
    await clients.core.createNamespacedResourceQuota({
      namespace,
      body: { metadata: { name: "small" }, spec: { hard } },
    });
    await eventually("the quota is in force", async () => {
      const { status } = await clients.core.readNamespacedResourceQuota({ namespace, name: "small" });
      return status?.used !== undefined;
    });
    const profiles = [
      profile(),
      profile({ name: "large", memory: "3Gi" }),
      profile({ name: "odd", memory: "lots" }),
      profile({ name: "classy", podTemplate: { spec: { priorityClassName: "no-such-class" } } }),
    ];
    const checks = await look(namespace, { profiles });
    assert.ok(!checks.has("profile default"));
    told(checks, "profile large", "problem", /refuses the pod of its runs: maximum memory usage per Container is 2Gi/);
    told(checks, "profile odd", "problem", /refuses the Job of its runs: .*quantit/);
    told(checks, "profile classy", "problem", /no PriorityClass with name no-such-class/);
    told(
      checks,
      "quota small",
      "warning",
      /room for 5 runs at a time \(limits.memory\); .*up to 10/,
      /MYZEL_MAX_LIVE_RUNS=5/,
    );
    const huge = await look(namespace, { settings: { memory: "6Gi" } });
    told(huge, "quota small", "problem", /no run ever fits into its limits.memory/);
    await clients.core.deleteNamespacedLimitRange({ namespace, name: "tight" });
    const full = await eventually("the limit range is gone", async () => {
      const found = await look(namespace, { settings: { memory: "6Gi" } });
      return found.get("profile default")?.status === "warning" ? found : null;
    });
    told(
      full,
      "profile default",
      "warning",
      /a run would wait now: exceeded quota: small, requested: limits.memory=6Gi/,
    );
  });

  test("as a command with a database: its profiles and credentials are what is looked at", async () => {
    const namespace = await fresh();
    await secret(namespace, "myzel-claude", "token");
    const database = await testDatabase();
    try {
      await database.pool.query(
        `insert into profiles (name, role, addressee_pattern, pod_template)
         values ('root', 'red', 'root', '{"spec": {"hostPID": true}}')`,
      );
      await database.pool.query(
        "insert into credentials (name, secret_name, secret_key) values ('team', 'team', 'token')",
      );
      const ran = await myzel(["doctor", "--json"], {
        env: {
          DATABASE_URL: database.url("operator"),
          MYZEL_ROLE_PREFIX: database.rolePrefix,
          MYZEL_DATA_DIR: join(scratch, "data"),
          MYZEL_LAUNCHER: "kubernetes",
          MYZEL_NAMESPACE: namespace,
          KUBECONFIG: admin,
        },
      });
      const lines = ran.stdout.trimEnd().split("\n");
      const checks = new Map(lines.map((line) => JSON.parse(line) as Check).map((check) => [check.name, check]));
      assert.equal(ran.code, 1, ran.stderr);
      told(checks, "schema", "ok", /current/);
      told(checks, "profile root", "problem", /"root" cannot be used: spec.hostPID is refused/, /where name = 'root'/);
      told(checks, "claude login default", "ok", /has the key/);
      told(checks, "claude login team", "problem", /no Secret team/);
    } finally {
      await database.close();
    }
  });

  test("as a command: exit code 1 where the server is away or the login is none, 0 where all is well", async () => {
    const namespace = await fresh();
    await secret(namespace, "myzel-claude", "token");
    const env = (kubeconfig: string) => ({
      MYZEL_DATA_DIR: join(scratch, "data"),
      MYZEL_LAUNCHER: "kubernetes",
      MYZEL_NAMESPACE: namespace,
      KUBECONFIG: kubeconfig,
    });
    const well = await myzel(["doctor"], { env: env(admin) });
    assert.equal(well.code, 0, well.stdout + well.stderr);
    assert.match(well.stdout, /^✓ cluster {12}Kubernetes/m);
    assert.match(well.stdout, /^\? image .*not tried\n {4}→ myzel doctor --try-pod/m);
    assert.match(well.stdout, /^! network policy .*none covers runs/m);
    assert.doesNotMatch(well.stdout, /credential default|^. claude {7}/m);

    const config = JSON.parse(clients.config.exportConfig());
    config.clusters[0].cluster.server = "https://127.0.0.1:1";
    const away = await myzel(["doctor", "--json"], { env: env(await file("away.json", JSON.stringify(config))) });
    assert.equal(away.code, 1);
    const lines = away.stdout.trimEnd().split("\n");
    const checks = lines.map((line) => JSON.parse(line) as Check);
    const cluster = checks.find(({ name }) => name === "cluster");
    assert.match(cluster?.message ?? "", /^https:\/\/127.0.0.1:1: The API server cannot be reached: .*ECONNREFUSED/);
    assert.match(cluster?.mend ?? "", /set KUBECONFIG .*found by the context ".*" of .*away.json/);
    assert.equal(
      checks.find(({ name }) => name === "namespace"),
      undefined,
    );

    const stranger = { ...JSON.parse(clients.config.exportConfig()), users: [{ name: "x", user: { token: VALUE } }] };
    stranger.contexts[0].context.user = "x";
    const refused = await myzel(["doctor", "--kubeconfig", await file("stranger.json", JSON.stringify(stranger))], {
      env: { MYZEL_DATA_DIR: join(scratch, "data"), MYZEL_NAMESPACE: namespace },
    });
    assert.equal(refused.code, 1);
    assert.match(refused.stdout, /^✗ cluster login .*does not take the login/m);
    assert.doesNotMatch(refused.stdout, new RegExp(VALUE));
  });
});
