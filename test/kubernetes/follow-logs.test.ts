/**
 * The engine keeps the logs of pods: real database, real API server, and a node whose kubelet says what the test lets
 * containers say.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { PatchStrategy, setHeaderOptions, type V1Pod } from "@kubernetes/client-node";
import type { Launcher } from "../../engine/launch/launcher.ts";
import type { FollowOptions } from "../../engine/loops/follow-logs.ts";
import { testDatabase, type TestDatabase } from "../support/postgres.ts";
import { startTestEngine, type TestEngine } from "../support/test-engine.ts";
import { eventually } from "../support/waiting.ts";
import { startLogServer, type LogServer } from "./launcher-log-server.ts";
import { openLauncher } from "./launcher-support.ts";
import { clientsFor, type Clients } from "./support/clients.ts";
import { startCluster, type TestCluster } from "./support/cluster.ts";
import { freshNamespace } from "./support/fresh-namespace.ts";
import { playedNode, type PlayedNode } from "./support/played-node.ts";
import { bindPod, bringPodTo, podOfJob } from "./support/played-pod.ts";
import { failed, running } from "./support/pod-moments.ts";
import { removePods } from "./support/remove-pods.ts";
import { ownClusterProblem } from "./support/shared-cluster.ts";

const MERGE = setHeaderOptions("Content-Type", PatchStrategy.MergePatch);

const EVERY_MS = 500;

interface LiveRun {
  id: string;
  runId: string;
  pod: V1Pod;
}

describe("an engine that follows the logs of pods", { skip: await ownClusterProblem() }, () => {
  let cluster: TestCluster;
  let clients: Clients;
  let namespace: string;
  let database: TestDatabase;
  let launcher: Launcher;
  let engine: { stop(): Promise<void> };

  before(async () => {
    cluster = await startCluster();
    clients = clientsFor(cluster.kubeconfig);
    namespace = (await freshNamespace(clients, "follow")).name;
    database = await testDatabase();
    const where = { kubeconfig: cluster.kubeconfig, namespace };
    // The played agents do not listen to a stop.
    launcher = await openLauncher(where, { podDatabaseUrl: database.url("pod"), keepLimitMs: 1_000 });
    const secret = { metadata: { name: "myzel-claude" }, stringData: { token: "sk-ant-oat01-test" } };
    await clients.core.createNamespacedSecret({ namespace, body: secret });
    engine = startEngine({});
  });
  after(async () => {
    await engine?.stop();
    await launcher?.close();
    await cluster?.stop();
    await database?.close();
  });

  const startEngine = (follow: Partial<FollowOptions>): TestEngine =>
    startTestEngine(database, launcher, { pollIntervalMs: 1_000, follow: { everyMs: EVERY_MS, ...follow } });

  /** A node of its own, so that it can be lost. */
  const newNode = async (): Promise<{ node: PlayedNode; kubelet: LogServer }> => {
    const node = await playedNode(clients);
    const subject = { subject: "/CN=kubelet", names: "IP:127.0.0.1" };
    const kubelet = await startLogServer(await cluster.authority.sign({ name: `kubelet-${node.name}`, ...subject }));
    const addresses = [{ type: "InternalIP", address: "127.0.0.1" }];
    const status = { addresses, daemonEndpoints: { kubeletEndpoint: { Port: kubelet.port } } };
    await clients.core.patchNodeStatus({ name: node.name, body: { status } }, MERGE);
    return { node, kubelet };
  };
  /** A task whose agent runs on the node. */
  const begin = async (addressee: string, node: PlayedNode, kubelet: LogServer): Promise<LiveRun> => {
    const inserted = await database.pool.query("insert into tasks (addressee, prompt) values ($1, 'p') returning id", [
      addressee,
    ]);
    const { id } = inserted.rows[0] as { id: string };
    const pod = await podOfJob(clients, { namespace, name: `task-${id}-1` });
    await bindPod(clients, pod, node);
    kubelet.say("checkout", "cloned");
    kubelet.end("checkout");
    await bringPodTo(clients, pod, running("agent"));
    return { id, runId: (await runOf(id)).id, pod };
  };
  const runOf = async (id: string) =>
    (await database.pool.query("select * from runs where task_id = $1 and attempt = 1", [id])).rows[0];
  const stored = async ({ runId }: LiveRun): Promise<string[]> => {
    const { rows } = await database.pool.query("select content from run_transcripts where run_id = $1", [runId]);
    if (rows[0] === undefined) return [];
    const lines = gunzipSync(rows[0].content as Buffer)
      .toString("utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { type: string; text: string });
    return lines.filter(({ type }) => type === "log").map(({ text }) => text);
  };
  const keeps = (run: LiveRun, text: string) =>
    eventually(`the database has "${text}"`, async () => (await stored(run)).includes(text));
  const isOver = (run: LiveRun, timeoutMs: number) =>
    eventually(
      "the run is over",
      async () => {
        const row = await runOf(run.id);
        return row.finished_at === null ? null : row;
      },
      timeoutMs,
    );

  test("a node that is lost costs no more than what came since the last look", async () => {
    const { node, kubelet } = await newNode();
    const run = await begin("lost", node, kubelet);
    kubelet.say("agent", "thinking");
    kubelet.say("agent", "editing");
    await keeps(run, "editing");
    assert.equal((await runOf(run.id)).finished_at, null);
    await kubelet.close();
    await node.lose();
    await clients.core.deleteNamespacedPod({ namespace, name: run.pod.metadata?.name ?? "" });
    await node.setOutOfService();
    // The pod garbage collector looks every 20 s.
    assert.equal((await isOver(run, 90_000)).failure_code, "node_lost");
    const texts = await stored(run);
    assert.deepEqual(texts.slice(0, 3), ["cloned", "thinking", "editing"]);
    assert.ok(
      texts.slice(3).every((text) => text.startsWith("[myzel] The log")),
      texts.join("\n"),
    );
    await database.pool.query("select stop($1, 'enough')", [run.id]);
    await node.remove();
  });

  test("connections that break leave no gap and double nothing, for a later engine neither", async () => {
    const { node, kubelet } = await newNode();
    const run = await begin("cut", node, kubelet);
    const said: string[] = ["cloned"];
    const say = (text: string): void => {
      kubelet.say("agent", text);
      said.push(text);
    };
    for (let n = 0; n < 12; n += 1) {
      say(`line ${n}.`);
      if (n % 3 === 0) {
        await keeps(run, `line ${n}.`);
        kubelet.cut();
      }
      if (n === 7) {
        await engine.stop();
        say("nobody follows");
        engine = startEngine({});
      }
    }
    await keeps(run, "line 11.");
    kubelet.end("agent");
    // The log cannot be read any more: what is kept says what was said last.
    await kubelet.close();
    await bringPodTo(clients, run.pod, failed("agent", 1));
    const row = await isOver(run, 60_000);
    assert.equal(row.failure_code, "no_report");
    const texts = await stored(run);
    assert.deepEqual(texts.slice(0, said.length), said);
    assert.match(texts[said.length] ?? "", /The log of agent cannot be had/);
    const { result } = (await database.pool.query("select result from tasks where id = $1", [run.id])).rows[0];
    assert.match(result.logs, /line 10\.\nline 11\.\n/);
    await node.remove();
  });

  test("a run that hangs from outside is ended, but not while its log cannot be read", async () => {
    const { node, kubelet } = await newNode();
    const run = await begin("hangs", node, kubelet);
    kubelet.say("agent", "last words");
    await keeps(run, "last words");
    const silenceIs = async (limit: string): Promise<void> => {
      await engine.stop();
      await database.pool.query("update profiles set silence_limit = $1", [limit]);
      engine = startEngine({ silenceMarginMs: 1_000 });
    };
    // An engine reads it when it begins to follow.
    await silenceIs("1 second");
    const done = await eventually("the task is completed", async () => {
      const { rows } = await database.pool.query("select * from tasks where id = $1", [run.id]);
      return rows[0].status === "completed" ? rows[0] : null;
    });
    assert.equal(done.result.code, "hung");
    assert.match(done.result.logs, /cloned\nlast words\n$/);
    await eventually("its pod is asked to end", async () => {
      const pod = await clients.core
        .readNamespacedPod({ namespace, name: run.pod.metadata?.name ?? "" })
        .catch(() => null);
      return pod === null || pod.metadata?.deletionTimestamp !== undefined;
    });
    await removePods(clients, namespace);
    assert.equal((await isOver(run, 60_000)).failure_code, "hung");

    await silenceIs("30 minutes");
    const other = await begin("unreadable", node, kubelet);
    await keeps(other, "last words"); // this kubelet tells every pod the same
    await kubelet.close();
    await silenceIs("1 second");
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    assert.equal((await runOf(other.id)).report, null);
    await database.pool.query("select stop($1, 'enough')", [other.id]);
    await removePods(clients, namespace);
    await isOver(other, 60_000);
    await node.remove();
    await database.pool.query("update profiles set silence_limit = '30 minutes'");
  });

  test("of a run that nobody follows, the log is taken before it is stopped", async () => {
    await engine.stop();
    engine = startEngine({ runs: 0 });
    const { node, kubelet } = await newNode();
    const run = await begin("stopped", node, kubelet);
    kubelet.say("agent", "thinking");
    assert.deepEqual(await stored(run), []);
    await database.pool.query("select stop($1, 'not needed')", [run.id]);
    await eventually("its pod is asked to end", async () => {
      const pod = await clients.core.readNamespacedPod({ namespace, name: run.pod.metadata?.name ?? "" });
      return pod.metadata?.deletionTimestamp !== undefined;
    });
    kubelet.say("agent", "asked to end");
    // With the pod it is gone: the engine reads on since before, and has it when a later reader has.
    for await (const { text } of launcher.logs(`task-${run.id}-1`, { follow: true }))
      if (text.includes("asked to end")) break;
    kubelet.end("agent");
    await removePods(clients, namespace);
    await isOver(run, 60_000);
    assert.deepEqual(await stored(run), ["cloned", "thinking", "asked to end"]);
    await kubelet.close();
    await node.remove();
  });
});
