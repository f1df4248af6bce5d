/** The whole engine with Jobs for runs: real database, real API server; a played kubelet does what the phases would. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { V1EnvVar, V1Pod } from "@kubernetes/client-node";
import pg from "pg";
import type { Launcher } from "../../engine/launch/launcher.ts";
import { doneReport } from "../support/instant-launcher.ts";
import { testDatabase, type TestDatabase } from "../support/postgres.ts";
import { myzel } from "../cli/run-myzel.ts";
import { startTestEngine, type TestEngine } from "../support/test-engine.ts";
import { eventually } from "../support/waiting.ts";
import { openLauncher } from "./launcher-support.ts";
import { startAutoKubelet, type AutoKubelet } from "./support/auto-kubelet.ts";
import { clientsFor, type Clients } from "./support/clients.ts";
import { freshNamespace, type FreshNamespace } from "./support/fresh-namespace.ts";
import { playedNode, type PlayedNode } from "./support/played-node.ts";
import { failed, running, succeeded, type Moment } from "./support/pod-moments.ts";
import { kubernetesProblem, sharedKubeconfig } from "./support/shared-cluster.ts";

describe("an engine whose runs are Jobs", { skip: await kubernetesProblem() }, () => {
  let clients: Clients;
  let namespace: FreshNamespace;
  let node: PlayedNode;
  let database: TestDatabase;
  let launcher: Launcher;
  let kubelet: AutoKubelet;
  let engine: TestEngine;

  before(async () => {
    const kubeconfig = await sharedKubeconfig();
    clients = clientsFor(kubeconfig);
    namespace = await freshNamespace(clients, "engine");
    node = await playedNode(clients);
    database = await testDatabase();
    // The played agents do not listen to a stop.
    const settings = { podDatabaseUrl: database.url("pod"), keepLimitMs: 1_000 };
    launcher = await openLauncher({ kubeconfig, namespace: namespace.name }, settings);
    const secret = { metadata: { name: "myzel-claude" }, stringData: { token: "sk-ant-oat01-test" } };
    await clients.core.createNamespacedSecret({ namespace: namespace.name, body: secret });
    kubelet = startAutoKubelet(clients, { namespace: namespace.name, node, plan, act });
    engine = startTestEngine(database, launcher);
  });
  after(async () => {
    await engine?.stop();
    await kubelet?.stop();
    await launcher?.close();
    await namespace?.remove();
    await node?.remove();
    await database?.close();
  });

  const addresseeOf = (pod: V1Pod): string => pod.metadata?.annotations?.["myzel.dev/addressee"] ?? "";
  const lives: Record<string, readonly Moment[]> = {
    "fails/checkout": [running("checkout"), failed("checkout", 20, "There is no such branch.")],
    "hangs/agent": [running("checkout"), running("agent")],
  };
  const whole = [running("checkout"), running("agent"), running("publish"), succeeded()];
  const plan = (pod: V1Pod) => (lives[addresseeOf(pod)] ?? whole).map((moment) => ({ afterMs: 0, moment }));

  /** checkout binds the run with what its environment holds; publish reports. */
  const act = async (pod: V1Pod, moment: Moment): Promise<void> => {
    if (moment.phase !== "Running" || moment.container === "agent") return;
    const env = await environmentOf(pod, moment.container ?? "");
    const login = [env["MYZEL_RUN_ID"], env["MYZEL_RUN_TOKEN"], env["MYZEL_BOUND_TO"]];
    const client = new pg.Client(env["MYZEL_DATABASE_URL"]);
    await client.connect();
    try {
      if (moment.container === "checkout") await client.query("select load_brief($1, $2, $3)", login);
      else await client.query("select write_report($1, $2, $3, $4, true)", [...login, doneReport]);
    } finally {
      await client.end();
    }
  };

  /** As the kubelet makes it: Secrets read, fields filled in, what was defined before put in. */
  const environmentOf = async (pod: V1Pod, container: string): Promise<Record<string, string>> => {
    const all = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
    const env: Record<string, string> = {};
    for (const variable of all.find(({ name }) => name === container)?.env ?? []) {
      const value = (await valueOf(pod, variable)).replace(/\$\((\w+)\)/g, (_, name: string) => env[name] ?? "");
      env[variable.name] = value;
    }
    return env;
  };
  const valueOf = async (pod: V1Pod, { value = "", valueFrom }: V1EnvVar): Promise<string> => {
    if (valueFrom?.fieldRef !== undefined) return pod.metadata?.name ?? "";
    const key = valueFrom?.secretKeyRef;
    if (key === undefined) return value;
    const { data } = await clients.core.readNamespacedSecret({ namespace: namespace.name, name: key.name ?? "" });
    return Buffer.from(data?.[key.key] ?? "", "base64").toString();
  };

  const insert = async (addressee: string): Promise<string> => {
    const inserted = await database.pool.query("insert into tasks (addressee, prompt) values ($1, 'p') returning id", [
      addressee,
    ]);
    return inserted.rows[0].id;
  };
  const task = async (id: string) => (await database.pool.query("select * from tasks where id = $1", [id])).rows[0];
  const completed = (id: string) =>
    eventually(`the task ${id} is completed`, async () => {
      const row = await task(id);
      return row.status === "completed" ? row : null;
    });

  test("runs a task from INSERT to result: the pod's token, put together from its halves, is accepted", async () => {
    const id = await insert("worker");
    const done = await completed(id);
    assert.equal(done.result.success, true);
    assert.match(done.worker_pod, new RegExp(`^task-${id}-1-`));
    await eventually("its Job is removed", async () => {
      const labelSelector = `myzel.dev/task=${id}`;
      return (await clients.batch.listNamespacedJob({ namespace: namespace.name, labelSelector })).items.length === 0;
    });
  });

  test("runs many, one after the other where they have one addressee", async () => {
    const ids = await Promise.all(["a", "a", "a", "b", "c/d", "ü"].map(insert));
    for (const id of ids) assert.equal((await completed(id)).result.success, true);
    const overlaps = await database.pool.query(
      `select count(*)::int as n from runs r join runs s on s.addressee = r.addressee and s.id <> r.id
       and tstzrange(r.started_at, r.finished_at) && tstzrange(s.started_at, s.finished_at)`,
    );
    assert.equal(overlaps.rows[0].n, 0);
  });

  test("a failed checkout is the task's result, with the phase's last words", async () => {
    const done = await completed(await insert("fails/checkout"));
    assert.equal(done.result.code, "checkout_failed");
    assert.equal(done.result.error, "There is no such branch.");
  });

  test("a profile's pod template is laid into its pods; one that weakens them fails its tasks for good, by name", async () => {
    const profile = (name: string, template: object) =>
      database.pool.query(
        "insert into profiles (name, role, addressee_pattern, pod_template) values ($1, 'red', $1, $2)",
        [name, template],
      );
    await profile("gpu", { metadata: { labels: { team: "vision" } }, spec: { tolerations: [{ key: "gpu" }] } });
    await profile("root", { spec: { hostNetwork: true } });
    let seen: V1Pod | undefined;
    lives["gpu"] = []; // it never begins
    const live = await insert("gpu");
    await eventually("its pod is there", async () => {
      const { items } = await clients.core.listNamespacedPod({
        namespace: namespace.name,
        labelSelector: "team=vision",
      });
      return (seen = items[0]);
    });
    assert.equal(seen?.metadata?.labels?.["myzel.dev/task"], live);
    assert.ok(seen?.spec?.tolerations?.some(({ key }) => key === "gpu"));
    await database.pool.query("select stop($1, 'not needed')", [live]);

    const { result } = await completed(await insert("root"));
    assert.equal(result.code, "pod_refused");
    assert.equal(result.attempt, 1);
    assert.match(result.error, /^The pod_template of the profile "root" cannot be used: spec.hostNetwork is refused: /);
  });

  for (const [what, resource] of [
    ["pods", "limits.memory"],
    ["Jobs", "count/jobs.batch"],
  ] as const) {
    test(`while a quota of ${what} is full why says so, and the task goes on when there is room`, async () => {
      const quota = { namespace: namespace.name, name: "small" };
      const body = { metadata: { name: "small" }, spec: { hard: { [resource]: "0" } } };
      await clients.core.createNamespacedResourceQuota({ namespace: namespace.name, body });
      await eventually("the quota is in force", async () => {
        return (await clients.core.readNamespacedResourceQuota(quota)).status?.used !== undefined;
      });
      const id = await insert(`patient with ${what}`);
      const why = async () =>
        (await database.pool.query("select * from why_not_running($1)", [id])).rows[0]?.explanation;
      // The engine looks at everything every 30 s.
      await eventually("why says it", async () => /exceeded quota: small/.test(await why()), 60_000);
      await clients.core.deleteNamespacedResourceQuota(quota);
      // Only a poll finds a launch that has to be made again.
      await database.pool.query("select pg_notify('myzel', '')");
      await eventually("it is completed", async () => (await task(id)).status === "completed", 90_000);
      assert.deepEqual([(await task(id)).result.success, (await task(id)).result.attempt], [true, 1]);
    });
  }

  test("myzel logs reads the log of a live run through the API, and stopping its task ends its pod", async () => {
    const id = await insert("hangs/agent");
    await eventually("the agent runs", async () => (await task(id)).worker_pod);
    const env = {
      DATABASE_URL: database.url("operator"),
      KUBECONFIG: await sharedKubeconfig(),
      MYZEL_NAMESPACE: namespace.name,
      MYZEL_INSTANCE: "test",
    };
    // The played node has no kubelet that could be asked for it.
    await eventually("its log was asked for", async () => {
      const ran = await myzel(["logs", id], { env });
      assert.equal(ran.code, 0, ran.stderr);
      return ran.stdout.includes("The log of checkout cannot be had");
    });
    await database.pool.query("select stop($1, 'not needed')", [id]);
    const done = await completed(id);
    assert.equal(done.result.code, "stopped");
    await eventually("the slot is free", async () => {
      const live = await database.pool.query("select from runs where task_id = $1 and finished_at is null", [id]);
      return live.rowCount === 0;
    });
    const pods = async (): Promise<V1Pod[]> => {
      const labelSelector = `myzel.dev/task=${id}`;
      return (await clients.core.listNamespacedPod({ namespace: namespace.name, labelSelector })).items;
    };
    // One that has ended may still be shown for a moment.
    assert.ok((await pods()).every(({ status }) => status?.phase === "Failed"));
    await eventually("its pod is gone", async () => (await pods()).length === 0);
  });
});
