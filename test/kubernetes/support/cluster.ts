/**
 * A Kubernetes control plane of this process's own: etcd, API server, controllers and scheduler, all of them real,
 * on loopback, in a temporary directory. It has no node; see auto-kubelet.ts for who plays one.
 *
 * Nothing of it outlives this process, even one that is killed: every part ends with its standard input. Only the
 * directory stays behind then.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../../support/waiting.ts";
import { makeAuthority, type Authority, type Certificate } from "./certificates.ts";
import {
  apiServerFlags,
  controllerManagerFlags,
  etcdFlags,
  schedulerFlags,
  type ApiServerOptions,
} from "./part-flags.ts";
import { serverUrl, writeClient, type Place } from "./place.ts";
import { clusterProgram } from "./cluster-program.ts";
import { compactAll } from "./etcd.ts";
import { makePart, type Part } from "./part.ts";
import { stablePorts } from "../../support/ports.ts";
import { httpsStatus } from "./https-status.ts";

const START_TIMEOUT_MS = 180_000;
/** Somebody else may take a port between the look and the start. */
const START_ATTEMPTS = 3;

export interface ClusterOptions extends ApiServerOptions {
  /** Made, and removed by `stop`. Default: one of its own below the temporary directory. */
  readonly directory?: string;
}

export interface TestCluster {
  /** Path of the administrator's kubeconfig, complete in itself. */
  readonly kubeconfig: string;
  /** `https://127.0.0.1:PORT`, the same for the cluster's whole life. */
  readonly server: string;
  /** Everything of the cluster lies here, logs (`kube-apiserver.log` …) included. */
  readonly directory: string;
  /** Signs what a node or a user needs. */
  readonly authority: Authority;
  /** Of the parts that run now. */
  readonly pids: readonly number[];
  /** As a crash: connections are cut in the middle. */
  stopApiServer(): Promise<void>;
  /** Resolves when it is ready. */
  startApiServer(): Promise<void>;
  /** Nobody makes pods of Jobs or counts them any more. */
  stopControllerManager(): Promise<void>;
  startControllerManager(): Promise<void>;
  stopScheduler(): Promise<void>;
  startScheduler(): Promise<void>;
  /**
   * etcd forgets every version but the newest. The API server's watch cache remembers what it has seen, and answers
   * from there: for "410 Gone" restart it as well, or start the cluster without a watch cache.
   */
  compactEtcd(): Promise<void>;
  /** Ends all parts by their pids and removes the directory. */
  stop(): Promise<void>;
}

/**
 * Resolves when the cluster takes pods: `/readyz` and the default service account are there.
 * @throws Error with the end of the log of the part that did not start
 */
export async function startCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  const program = await clusterProgram();
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start(program, options);
    } catch (error) {
      if (attempt === START_ATTEMPTS || !/address already in use/.test(String(error))) throw error;
    }
  }
}

async function start(program: string, options: ClusterOptions): Promise<TestCluster> {
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), "myzel-kubernetes-")));
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const authority = await makeAuthority(directory);
  const [client, peer, apiPort] = (await stablePorts(3)) as [number, number, number];
  const place: Place = {
    directory,
    authority,
    apiPort,
    etcdUrl: `http://127.0.0.1:${client}`,
    peerUrl: `http://127.0.0.1:${peer}`,
  };
  const part = (name: string, flags: readonly string[]): Part => makePart({ program, name, flags, directory });
  const etcd = part("etcd", etcdFlags(place));
  const apiServer = part("kube-apiserver", await apiServerFlags(place, options));
  const controllerManager = part("kube-controller-manager", await controllerManagerFlags(place));
  const scheduler = part("kube-scheduler", await schedulerFlags(place));
  const parts = [etcd, apiServer, controllerManager, scheduler];

  const stop = async (): Promise<void> => {
    await Promise.all(parts.map((running) => running.kill()));
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  };
  const cluster: TestCluster = {
    kubeconfig: join(directory, "admin.kubeconfig"),
    server: serverUrl(place),
    directory,
    authority,
    get pids() {
      return parts.map(({ pid }) => pid).filter((pid) => pid !== null);
    },
    stopApiServer: () => apiServer.kill(),
    startApiServer: async () => {
      await apiServer.start();
      await untilReady(place, parts);
    },
    stopControllerManager: () => controllerManager.kill(),
    startControllerManager: () => controllerManager.start(),
    stopScheduler: () => scheduler.kill(),
    startScheduler: () => scheduler.start(),
    compactEtcd: () => compactAll(place.etcdUrl),
    stop,
  };
  try {
    await writeClient(place, { name: "admin", subject: "/O=system:masters/CN=myzel-test-admin" });
    await etcd.start();
    await cluster.startApiServer();
    await controllerManager.start();
    await scheduler.start();
    await untilPodsAreTaken(place, parts);
    return cluster;
  } catch (error) {
    await stop();
    throw error;
  }
}

async function untilReady(place: Place, parts: readonly Part[]): Promise<void> {
  await untilFound(place, { path: "/readyz", parts });
}

async function untilPodsAreTaken(place: Place, parts: readonly Part[]): Promise<void> {
  await untilFound(place, { path: "/api/v1/namespaces/default/serviceaccounts/default", parts });
}

async function untilFound(place: Place, options: { path: string; parts: readonly Part[] }): Promise<void> {
  const { path, parts } = options;
  const files = { caFile: place.authority.certFile, client: adminFiles(place.directory) };
  const found = async (): Promise<boolean> => {
    for (const part of parts) await part.checkAlive();
    return (await httpsStatus(serverUrl(place) + path, files)) === 200;
  };
  await eventually(`the API server of the test cluster answers ${path}`, found, START_TIMEOUT_MS);
}

function adminFiles(directory: string): Certificate {
  return { certFile: join(directory, "admin.crt"), keyFile: join(directory, "admin.key") };
}
