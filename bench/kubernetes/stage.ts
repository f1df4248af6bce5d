/**
 * What all measures stand on: one control plane, one durable Postgres, both of this run alone. There is no node: the
 * scheduler is stopped, and who wants a pod to live plays its kubelet.
 */
import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { pino } from "pino";
import { startEmbeddedPostgres } from "../../engine/embedded-postgres/embedded-postgres.ts";
import { ensureLogins, type Logins } from "../../engine/embedded-postgres/logins.ts";
import { migrateDatabase } from "../../engine/store/migrate.ts";
import { clientsFor, type Clients } from "../../test/kubernetes/support/clients.ts";
import { startCluster } from "../../test/kubernetes/support/cluster.ts";
import { freshNamespace } from "../../test/kubernetes/support/fresh-namespace.ts";
import { playedNode, type PlayedNode } from "../../test/kubernetes/support/played-node.ts";
import { eventually } from "../../test/support/waiting.ts";
import { startEngineProcess, type EngineProcess } from "./engine-process.ts";

const CLEARED_WITHIN_MS = 120_000;
const MOST_LIVE_RUNS = "20000";

export interface Stage {
  readonly clients: Clients;
  readonly kubeconfig: string;
  /** Where the engine's runs happen. */
  readonly namespace: string;
  /** Where the bare loop's Jobs are made. */
  readonly bareNamespace: string;
  readonly node: PlayedNode;
  readonly logins: Logins;
  /** As operator. */
  readonly database: pg.Client;
  /** Process ids of the control plane's parts and of the database, by name. */
  readonly pids: Record<string, number>;
  readonly postgresVersion: string;
  startEngine(): Promise<EngineProcess>;
  /** What run tokens are made with; there once an engine has started. */
  runKey(): Promise<Buffer>;
  /** So many tasks, each its own addressee, in one statement. */
  insertTasks(count: number): Promise<void>;
  /** Deletes all tasks and waits until nothing of their runs is left. */
  clearTasks(): Promise<void>;
  /** Deletes the bare loop's Jobs and waits until they and their pods are gone. */
  clearBareJobs(): Promise<void>;
  /** Objects of that kind in a namespace, without reading them. */
  count(kind: "jobs" | "pods", namespace: string): Promise<number>;
  stop(): Promise<void>;
}

export async function openStage(): Promise<Stage> {
  const dataDir = await mkdtemp(join(tmpdir(), "myzel-bench-"));
  const endings: (() => Promise<unknown>)[] = [() => rm(dataDir, { recursive: true, force: true })];
  const stop = async (): Promise<void> => {
    for (let end = endings.pop(); end !== undefined; end = endings.pop()) await end();
  };
  try {
    const postgres = await openPostgres(dataDir, endings);
    const kubernetes = await openKubernetes(endings);
    return { ...stageOf(dataDir, postgres, kubernetes), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Postgres = Awaited<ReturnType<typeof openPostgres>>;
type Kubernetes = Awaited<ReturnType<typeof openKubernetes>>;

async function openPostgres(dataDir: string, endings: (() => Promise<unknown>)[]) {
  const log = pino({ level: "silent" });
  const server = await startEmbeddedPostgres({ dataDir, log });
  endings.push(() => server.stop());
  await migrateDatabase({ url: server.adminUrl, rolePrefix: "myzel", log });
  const logins = await ensureLogins({ adminUrl: server.adminUrl, rolePrefix: "myzel", dataDir });
  const database = new pg.Client({ connectionString: logins.operator });
  await database.connect();
  endings.push(() => database.end());
  const [pid = ""] = (await readFile(join(dataDir, "postgres", "postmaster.pid"), "utf8")).split("\n");
  const version: string = (await database.query("show server_version")).rows[0].server_version;
  return { logins, database, pid: Number(pid), version };
}

async function openKubernetes(endings: (() => Promise<unknown>)[]) {
  const cluster = await startCluster();
  endings.push(() => cluster.stop());
  const [etcd = 0, apiServer = 0, controllers = 0] = cluster.pids;
  await cluster.stopScheduler();
  const clients = clientsFor(cluster.kubeconfig);
  const { name: namespace } = await freshNamespace(clients, "bench");
  const { name: bareNamespace } = await freshNamespace(clients, "bare");
  const secret = { metadata: { name: "myzel-claude" }, stringData: { token: "none" } };
  await clients.core.createNamespacedSecret({ namespace, body: secret });
  const node = await playedNode(clients);
  endings.push(() => node.remove());
  const pids = { etcd, "API server": apiServer, controllers };
  return { kubeconfig: cluster.kubeconfig, clients, namespace, bareNamespace, node, pids };
}

function stageOf(dataDir: string, postgres: Postgres, kubernetes: Kubernetes): Omit<Stage, "stop"> {
  const { logins, database } = postgres;
  const { clients, kubeconfig, namespace, bareNamespace } = kubernetes;
  const nothingIn = async (where: string): Promise<boolean> =>
    (await count(clients, "jobs", where)) === 0 && (await count(clients, "pods", where)) === 0;
  return {
    ...kubernetes,
    pids: { ...kubernetes.pids, Postgres: postgres.pid },
    logins,
    database,
    postgresVersion: postgres.version,
    startEngine: () =>
      startEngineProcess({
        DATABASE_URL: logins.engine,
        MYZEL_POD_DATABASE_URL: logins.pod,
        MYZEL_DATA_DIR: dataDir,
        MYZEL_LAUNCHER: "kubernetes",
        MYZEL_MAX_LIVE_RUNS: MOST_LIVE_RUNS,
        MYZEL_NAMESPACE: namespace,
        KUBECONFIG: kubeconfig,
      }),
    runKey: () => readFile(join(dataDir, "run-key")),
    insertTasks: async (howMany) => {
      const batch = randomUUID();
      const text = "insert into tasks (addressee, prompt) select $1 || '-' || i, 'p' from generate_series(1, $2) i";
      await database.query(text, [batch, howMany]);
    },
    clearTasks: async () => {
      await database.query("delete from tasks");
      await eventually("no Jobs and pods are left", () => nothingIn(namespace), CLEARED_WITHIN_MS);
      const live = "select from runs where finished_at is null";
      await eventually("no run is live", async () => (await database.query(live)).rowCount === 0, CLEARED_WITHIN_MS);
    },
    clearBareJobs: async () => {
      const body = { propagationPolicy: "Background" };
      await clients.batch.deleteCollectionNamespacedJob({ namespace: bareNamespace, body });
      await eventually("no bare Jobs and pods are left", () => nothingIn(bareNamespace), CLEARED_WITHIN_MS);
    },
    count: (kind, where) => count(clients, kind, where),
  };
}

async function count(clients: Clients, kind: "jobs" | "pods", namespace: string): Promise<number> {
  const { items, metadata } =
    kind === "jobs"
      ? await clients.batch.listNamespacedJob({ namespace, limit: 1 })
      : await clients.core.listNamespacedPod({ namespace, limit: 1 });
  return items.length + (metadata?.remainingItemCount ?? 0);
}
