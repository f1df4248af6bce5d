/** From an INSERT to a pushed branch, with nothing played but the model: a real cluster, node, image, CLI and remote. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import {
  type BareRemote,
  bareRemote,
  httpRemote,
  type HttpRemote,
  sshProblem,
  sshRemote,
} from "../../support/git-remotes.ts";
import { type TestDatabase, testDatabase } from "../../support/postgres.ts";
import {
  type Answer,
  type ModelRequest,
  type ScriptedModel,
  startScriptedModel,
  text,
  textsOf,
  toolUse,
} from "../../support/scripted-model.ts";
import { eventually } from "../../support/waiting.ts";
import { clientsFor, type Clients } from "../support/clients.ts";
import { startCluster, type TestCluster } from "../support/cluster.ts";
import { type FreshNamespace, freshNamespace } from "../support/fresh-namespace.ts";
import { deployEngine } from "./deploy-engine.ts";
import { makeEngineAccount } from "./engine-account.ts";
import { type Forward, forward } from "./forward.ts";
import { buildEngineImage, buildWorkerImage, ENGINE_IMAGE, WORKER_IMAGE } from "./images/own-images.ts";
import { nodeProblem, startNode, type TestNode } from "./node.ts";

const ROOT = join(import.meta.dirname, "../../..");
const CLAUDE_TOKEN = "sk-ant-oat01-test-token-of-nobody-0123456789";
const GIT_LOGIN = { username: "bot", password: "git-token-of-nobody" };
const UNTIL_DONE_MS = 60_000;

/** What the agent does stands in its prompt. */
function playAgent(request: ModelRequest): Answer {
  const command = /RUN:(.*)/.exec(textsOf(request, "user"))?.[1] ?? "true";
  return request.step === 0 ? toolUse("Bash", { command }) : text("Done.");
}

describe("a run on a real node", { skip: await nodeProblem(), timeout: 900_000 }, () => {
  let cluster: TestCluster;
  let node: TestNode;
  let clients: Clients;
  let namespace: FreshNamespace;
  let database: TestDatabase;
  let model: ScriptedModel;
  let remote: BareRemote;
  let served: HttpRemote;
  let engine: ChildProcess;
  let scratch: string;
  const forwards: Forward[] = [];
  let modelSawAt = 0;

  /** The same for pods: through the node's address. */
  async function forPods(url: string): Promise<string> {
    const forwarded = new URL(url);
    const gate = await forward(node.address, Number(forwarded.port));
    forwards.push(gate);
    forwarded.host = `${node.address}:${gate.port}`;
    return forwarded.href;
  }

  before(async () => {
    scratch = await mkdtemp(join(tmpdir(), "myzel-whole-way-"));
    await buildWorkerImage();
    cluster = await startCluster();
    node = await startNode(cluster);
    await node.addImage(WORKER_IMAGE);
    clients = clientsFor(cluster.kubeconfig);
    namespace = await freshNamespace(clients, "runs");
    database = await testDatabase();
    model = await startScriptedModel((request) => {
      modelSawAt ||= performance.now();
      return playAgent(request);
    });
    remote = bareRemote();
    served = await httpRemote(remote, GIT_LOGIN);
    await makeSecret("myzel-claude", { token: CLAUDE_TOKEN });
    await makeSecret("git-login", GIT_LOGIN);
    await writeFile(
      join(scratch, "git-secrets.yaml"),
      [
        `- { repositories: "http://${node.address}:*", secret: git-login }`,
        `- { repositories: "ssh://*@${node.address}:*", secret: deploy-key }`,
      ].join("\n"),
    );
    await makeEngineAccount(clients, namespace.name, join(scratch, "engine.kubeconfig"));
    engine = await startEngine();
  });

  after(async () => {
    engine?.kill("SIGTERM");
    if (engine?.exitCode === null) await once(engine, "exit");
    for (const gate of forwards) await gate.close();
    await model?.close();
    await served?.close();
    remote?.remove();
    await database?.close();
    await node?.stop();
    await cluster?.stop();
    await rm(scratch, { recursive: true, force: true });
  });

  async function makeSecret(name: string, values: Record<string, string>): Promise<void> {
    await clients.core.createNamespacedSecret({
      namespace: namespace.name,
      body: { metadata: { name }, stringData: values },
    });
  }

  /** A process of its own, as the account that deploy/ makes. */
  async function startEngine(): Promise<ChildProcess> {
    return spawn(process.execPath, [join(ROOT, "engine/main.ts"), "engine"], {
      env: {
        PATH: process.env["PATH"],
        HOME: scratch,
        DATABASE_URL: database.url("engine"),
        MYZEL_POD_DATABASE_URL: await forPods(database.url("pod")),
        MYZEL_ROLE_PREFIX: database.rolePrefix,
        MYZEL_DATA_DIR: join(scratch, "data"),
        MYZEL_LAUNCHER: "kubernetes",
        KUBECONFIG: join(scratch, "engine.kubeconfig"),
        MYZEL_WORKER_IMAGE: WORKER_IMAGE,
        MYZEL_RUN_CPU: "1",
        MYZEL_RUN_MEMORY: "1Gi",
        MYZEL_RUN_DISK: "2Gi",
        MYZEL_GIT_SECRETS: join(scratch, "git-secrets.yaml"),
        MYZEL_MODEL_BASE_URL: (await forPods(model.url)).replace(/\/$/, ""),
      },
      stdio: ["ignore", process.env["MYZEL_TEST_LOG"] === undefined ? "ignore" : "inherit", "inherit"],
    });
  }

  /** Files a task and waits for its end. */
  async function work(task: { prompt: string; repo_url?: string; branch?: string }) {
    const columns = { addressee: "worker", ...task };
    const names = Object.keys(columns);
    const places = names.map((_, index) => `$${index + 1}`);
    const { rows } = await database.pool.query<{ id: string }>(
      `insert into tasks (${names.join(", ")}) values (${places.join(", ")}) returning id`,
      Object.values(columns),
    );
    const id = rows[0]?.id;
    return eventually(
      "the task completes",
      async () => {
        const done = await database.pool.query<{ id: string; worker_pod: string; result: Record<string, unknown> }>(
          "select * from tasks where id = $1 and status = 'completed'",
          [id],
        );
        return done.rows[0];
      },
      UNTIL_DONE_MS,
    );
  }

  test("an INSERT ends as a commit on the remote, with the result in the row and the Job gone", async (t) => {
    const startedAt = performance.now();
    modelSawAt = 0;
    const {
      id,
      result,
      worker_pod: pod,
    } = await work({
      prompt: "RUN:echo hello > hello.txt && git add hello.txt && git commit -qm 'Say hello'",
      repo_url: await forPods(served.url),
      branch: "hello",
    });
    t.diagnostic(`INSERT to the model's first request: ${Math.round(modelSawAt - startedAt)} ms`);
    t.diagnostic(`INSERT to the result: ${Math.round(performance.now() - startedAt)} ms`);
    assert.equal(result["success"], true, JSON.stringify(result));
    assert.equal(remote.file("hello", "hello.txt"), "hello\n");
    assert.equal(result["commit_sha"], remote.head("hello"));
    assert.match(pod, new RegExp(`^task-${id}-1-`));
    const transcript = await database.pool.query<{ content: Buffer }>(
      "select t.content from run_transcripts t join runs r on r.id = t.run_id where r.task_id = $1",
      [id],
    );
    assert.match(gunzipSync(transcript.rows[0]?.content ?? "").toString(), /Say hello/);
    await eventually("the Job is gone", async () => {
      const { items } = await clients.batch.listNamespacedJob({ namespace: namespace.name });
      return items.length === 0;
    });
    assert.deepEqual(served.logins(), [`${GIT_LOGIN.username}:${GIT_LOGIN.password}`]);
  });

  test("a remote over SSH is reached with the deploy key of its Secret, by the host key in it", async (t) => {
    const problem = sshProblem();
    if (problem !== null) return t.skip(problem);
    const sshd = await sshRemote(remote);
    try {
      const repo_url = await forPods(sshd.url);
      const known = await readFile(/UserKnownHostsFile=(\S+)/.exec(sshd.sshCommand)?.[1] ?? "", "utf8");
      await makeSecret("deploy-key", {
        "ssh-privatekey": await readFile(/-i (\S+)/.exec(sshd.sshCommand)?.[1] ?? "", "utf8"),
        known_hosts: known.replace(/^\S+/, `[${node.address}]:${new URL(repo_url).port}`),
      });
      const prompt = "RUN:echo ssh > ssh.txt && git add ssh.txt && git commit -qm 'Over SSH'";
      const { result } = await work({ prompt, repo_url, branch: "over-ssh" });
      assert.equal(result["success"], true, JSON.stringify(result));
      assert.equal(remote.file("over-ssh", "ssh.txt"), "ssh\n");
    } finally {
      await sshd.close();
    }
  });

  test("the agent has no right, no login of git or the database, and cannot change its image", async () => {
    const command = [
      "id -u",
      "grep CapEff /proc/self/status",
      "env | grep -ciE 'database|git_(password|username|ssh)|run_token|token_half' || true",
      "tr '\\0' '\\n' < /proc/1/environ | grep -ciE 'database|git_(password|username|ssh)|run_token|token_half' || true",
      "ls /var/run/secrets/kubernetes.io 2>&1",
      "touch /opt/myzel/x 2>&1",
    ].join("; ");
    model.requests.length = 0;
    const { result } = await work({ prompt: `RUN:${command}` });
    assert.equal(result["success"], true, JSON.stringify(result));
    const said = textsOf(model.requests.at(-1), "user");
    assert.match(said, /1000\nCapEff:\s+0000000000000000\n0\n0\n.*No such file.*\n.*Read-only file system/);
  });

  test("a repository that cannot be had is said in the result", async () => {
    const repo_url = (await forPods(served.url)).replace("project.git", "nothing.git");
    const { result } = await work({ prompt: "RUN:true", repo_url });
    assert.equal(result["code"], "checkout_failed", JSON.stringify(result));
  });

  test("the engine works as deploy/ runs it: two pods that are ready, one leads, and the other takes over", async () => {
    engine.kill("SIGTERM");
    await once(engine, "exit");
    await buildEngineImage();
    await node.addImage(ENGINE_IMAGE);
    const runKey = await readFile(join(scratch, "data/run-key"));
    await clients.core.createNamespacedSecret({
      namespace: namespace.name,
      body: { metadata: { name: "myzel-run-key" }, data: { "run-key": runKey.toString("base64") } },
    });
    await makeSecret("myzel-database", {
      "engine-url": await forPods(database.url("engine")),
      "pod-url": await forPods(database.url("pod")),
    });
    const apiServer = await forward(node.address, Number(new URL(cluster.server).port));
    forwards.push(apiServer);
    await deployEngine(clients, {
      namespace: namespace.name,
      image: ENGINE_IMAGE,
      environment: {
        MYZEL_WORKER_IMAGE: WORKER_IMAGE,
        MYZEL_ROLE_PREFIX: database.rolePrefix,
        MYZEL_MODEL_BASE_URL: (await forPods(model.url)).replace(/\/$/, ""),
        MYZEL_RUN_MEMORY: "1Gi",
        MYZEL_RUN_CPU: "1",
      },
      apiServer: { address: node.address, port: apiServer.port },
    });
    const ready = async (): Promise<string[]> => {
      const labelSelector = "app.kubernetes.io/component=engine";
      const { items } = await clients.core.listNamespacedPod({ namespace: namespace.name, labelSelector });
      const isReady = ({ status }: (typeof items)[number]): boolean =>
        status?.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True") ?? false;
      return items.filter(isReady).map(({ metadata }) => metadata?.name ?? "");
    };
    await eventually("both engines are ready", async () => (await ready()).length === 2, 90_000);
    const { result } = await work({ prompt: "RUN:true" });
    assert.equal(result["success"], true, JSON.stringify(result));

    const leader = async () => {
      const { rows } = await database.pool.query<{ epoch: string; host: string }>(
        "select epoch, host from engine_state",
      );
      return rows[0];
    };
    const first = await leader();
    assert.ok((await ready()).includes(first?.host ?? ""), first?.host);
    await clients.core.deleteNamespacedPod({ namespace: namespace.name, name: first?.host ?? "" });
    await eventually("another engine leads", async () => (await leader())?.host !== first?.host, 30_000);
    const next = await work({ prompt: "RUN:true" });
    assert.equal(next.result["success"], true, JSON.stringify(next.result));
  });
});
