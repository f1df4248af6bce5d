/**
 * Everything that a run on a real node needs, started and ended together: control plane, node with the worker image, a
 * namespace with the engine's account and the Secrets, database, scripted model, git remote behind a login.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BareRemote, bareRemote, httpRemote, type HttpRemote } from "../../support/git-remotes.ts";
import { type TestDatabase, testDatabase } from "../../support/postgres.ts";
import { type Script, type ScriptedModel, startScriptedModel } from "../../support/scripted-model.ts";
import { eventually } from "../../support/waiting.ts";
import { clientsFor, type Clients } from "../support/clients.ts";
import { startCluster, type TestCluster } from "../support/cluster.ts";
import { type FreshNamespace, freshNamespace } from "../support/fresh-namespace.ts";
import { makeEngineAccount } from "../deploy/engine-account.ts";
import { type Forward, forward } from "./forward.ts";
import { buildWorkerImage, WORKER_IMAGE } from "./images/own-images.ts";
import { startNode, type TestNode } from "./node.ts";

const ROOT = join(import.meta.dirname, "../../..");
const CLAUDE_TOKEN = "sk-ant-oat01-test-token-of-nobody-0123456789";
const UNTIL_DONE_MS = 60_000;

export const GIT_LOGIN = { username: "bot", password: "git-token-of-nobody" };

export interface Stage {
  cluster: TestCluster;
  node: TestNode;
  clients: Clients;
  namespace: FreshNamespace;
  database: TestDatabase;
  model: ScriptedModel;
  remote: BareRemote;
  served: HttpRemote;
  /** For the test's own files. */
  scratch: string;
  /** The URL of something on loopback as pods reach it: at the node's address and a free port, or where it is asked for. */
  forPods(url: string, at?: { address: string; port: number }): Promise<string>;
  /** Port of the node's address that leads to this one of loopback. */
  portForPods(port: number): Promise<number>;
  makeSecret(name: string, values: Record<string, string>): Promise<void>;
  /** A process of its own, under the account that deploy/ makes. */
  startEngine(): Promise<ChildProcess>;
  /** Files a task and waits for its end. */
  work(task: { addressee?: string; prompt: string; repo_url?: string; branch?: string }): Promise<DoneTask>;
  close(): Promise<void>;
}

export interface DoneTask {
  id: string;
  worker_pod: string;
  result: Record<string, unknown>;
}

/**
 * What is started is ended by `close`, and here where not all of it starts.
 * @param script of the model
 * @param options of the node
 */
export async function startStage(script: Script, options: { enforcing?: boolean } = {}): Promise<Stage> {
  const endings: (() => Promise<unknown>)[] = [];
  const close = async (): Promise<void> => {
    for (let end = endings.pop(); end !== undefined; end = endings.pop()) await end();
  };
  try {
    return await buildStage({ script, ...options }, endings, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function buildStage(
  { script, enforcing = false }: { script: Script; enforcing?: boolean },
  endings: (() => Promise<unknown>)[],
  close: () => Promise<void>,
): Promise<Stage> {
  /** Ended last to first. */
  function ending<T>(thing: T, end: (thing: T) => unknown): T {
    endings.push(async () => end(thing));
    return thing;
  }
  const scratch = ending(await mkdtemp(join(tmpdir(), "myzel-stage-")), (path) => rm(path, { recursive: true }));
  await buildWorkerImage();
  const cluster = ending(await startCluster(), (running) => running.stop());
  const node = ending(await startNode(cluster, { enforcing }), (running) => running.stop());
  await node.addImage(WORKER_IMAGE);
  const clients = clientsFor(cluster.kubeconfig);
  const namespace = await freshNamespace(clients, "runs");
  const database = ending(await testDatabase(), (made) => made.close());
  const model = ending(await startScriptedModel(script), (running) => running.close());
  const remote = ending(bareRemote(), (made) => made.remove());
  const served = ending(await httpRemote(remote, GIT_LOGIN), (running) => running.close());

  const portForPods = async (port: number): Promise<number> =>
    ending<Forward>(await forward(node.address, port), (running) => running.close()).port;
  const forPods: Stage["forPods"] = async (url, { address, port } = { address: node.address, port: 0 }) => {
    const moved = new URL(url);
    const made = ending(await forward(address, Number(moved.port), port), (running) => running.close());
    // Not `host`: a port that the scheme implies would be left as it is.
    moved.hostname = address;
    moved.port = String(made.port);
    return moved.href;
  };
  const makeSecret = async (name: string, values: Record<string, string>): Promise<void> => {
    const body = { metadata: { name }, stringData: values };
    await clients.core.createNamespacedSecret({ namespace: namespace.name, body });
  };
  await makeSecret("myzel-claude", { token: CLAUDE_TOKEN });
  await makeSecret("git-login", GIT_LOGIN);
  await writeFile(join(scratch, "git-secrets.yaml"), gitSecrets(node.address));
  await makeEngineAccount(clients, namespace.name, join(scratch, "engine.kubeconfig"));

  const startEngine = async (): Promise<ChildProcess> => {
    const podDatabaseUrl = await forPods(database.url("pod"));
    const modelBaseUrl = (await forPods(model.url)).replace(/\/$/, "");
    const engine = spawnEngine({ scratch, database, podDatabaseUrl, modelBaseUrl });
    return ending(engine, async (running) => {
      running.kill("SIGTERM");
      if (running.exitCode === null && running.signalCode === null) await once(running, "exit");
    });
  };
  const work = (task: Parameters<Stage["work"]>[0]): Promise<DoneTask> => workOn(database, task);
  const parts = { cluster, node, clients, namespace, database, model, remote, served, scratch };
  return { ...parts, forPods, portForPods, makeSecret, startEngine, work, close };
}

function gitSecrets(address: string): string {
  return [
    `- { repositories: "http://${address}:*/*", secret: git-login }`,
    `- { repositories: "ssh://*@${address}:*/*", secret: deploy-key }`,
  ].join("\n");
}

function spawnEngine(options: {
  scratch: string;
  database: TestDatabase;
  podDatabaseUrl: string;
  modelBaseUrl: string;
}): ChildProcess {
  const { scratch, database, podDatabaseUrl, modelBaseUrl } = options;
  return spawn(process.execPath, [join(ROOT, "engine/main.ts"), "engine"], {
    env: {
      PATH: process.env["PATH"],
      HOME: scratch,
      DATABASE_URL: database.url("engine"),
      MYZEL_POD_DATABASE_URL: podDatabaseUrl,
      MYZEL_ROLE_PREFIX: database.rolePrefix,
      MYZEL_DATA_DIR: join(scratch, "data"),
      MYZEL_LAUNCHER: "kubernetes",
      KUBECONFIG: join(scratch, "engine.kubeconfig"),
      MYZEL_WORKER_IMAGE: WORKER_IMAGE,
      MYZEL_RUN_CPU: "1",
      MYZEL_RUN_MEMORY: "1Gi",
      MYZEL_RUN_DISK: "2Gi",
      MYZEL_GIT_SECRETS: join(scratch, "git-secrets.yaml"),
      MYZEL_MODEL_BASE_URL: modelBaseUrl,
    },
    stdio: ["ignore", process.env["MYZEL_TEST_LOG"] === undefined ? "ignore" : "inherit", "inherit"],
  });
}

async function workOn(database: TestDatabase, task: Parameters<Stage["work"]>[0]): Promise<DoneTask> {
  const columns = { addressee: "worker", ...task };
  const names = Object.keys(columns);
  const places = names.map((_, index) => `$${index + 1}`);
  const filed = await database.pool.query<{ id: string }>(
    `insert into tasks (${names.join(", ")}) values (${places.join(", ")}) returning id`,
    Object.values(columns),
  );
  const done = async (): Promise<DoneTask | undefined> => {
    const { rows } = await database.pool.query<DoneTask>("select * from tasks where id = $1 and status = 'completed'", [
      filed.rows[0]?.id,
    ]);
    return rows[0];
  };
  return eventually("the task completes", done, UNTIL_DONE_MS);
}
