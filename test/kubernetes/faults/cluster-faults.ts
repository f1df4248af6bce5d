/** What goes wrong with the cluster, or is done to it by somebody with kubectl. */
import type { V1Job } from "@kubernetes/client-node";
import type { Farewell } from "./played-machine.ts";
import { lasting, unlessAway, within, type Fault, type Victims } from "./victims.ts";

/** The pod garbage collector looks every 20 s, and waits another 40 s for a node that was deleted. */
const PODS_GONE_MS = 90_000;

export const CLUSTER_FAULTS = {
  stop_api_server: async (victims) => await apiServerAway(victims, victims.random.between(1_000, 4_000)),
  compact_etcd: async (victims) => await compactUnderTheWatch(victims),
  stop_controllers: async (victims) => await controllersAway(victims),
  delete_all_jobs: async (victims) => await deleteAllJobs(victims),
  delete_a_job: async (victims) => await deleteOneJob(victims),
  delete_a_pod: async (victims) => await deleteOnePod(victims),
} satisfies Record<string, Fault>;

export const LONG_CLUSTER_FAULTS = {
  stop_api_server_for_a_minute: async (victims) => await apiServerAway(victims, 60_000),
  lose_a_node_and_delete_it: async (victims) => await loseNode(victims, "deleted"),
  lose_a_node_and_vouch_for_it: async (victims) => await loseNode(victims, "out of service"),
} satisfies Record<string, Fault>;

async function apiServerAway(victims: Victims, ms: number): Promise<string> {
  const { cluster, admin } = victims;
  await cluster.stopApiServer();
  await lasting(victims, ms);
  const { rows } = await admin.query("select count(*)::integer as live from runs where finished_at is null");
  await cluster.startApiServer();
  return rows[0].live > 0 ? "back, runs were live" : "back, no run was live";
}

/** Engines are cut off, things change, the changes are forgotten: a watch that is taken up where it broke is told "410 Gone". */
async function compactUnderTheWatch(victims: Victims): Promise<string | null> {
  const { cluster, clients, namespace, fleet } = victims;
  const before = await unlessAway(() => clients.core.listNamespacedPod({ namespace, limit: 1 }));
  const resourceVersion = before?.metadata?.resourceVersion;
  if (resourceVersion === undefined) return null;
  for (const { proxy } of fleet.engines) proxy.block();
  await lasting(victims, victims.random.between(500, 1_500));
  await cluster.compactEtcd();
  for (const { proxy } of fleet.engines) proxy.restore();
  try {
    await clients.core.listNamespacedPod({ namespace, resourceVersion, resourceVersionMatch: "Exact", limit: 1 });
    return null; // nothing had changed
  } catch (error) {
    return (error as { code?: unknown }).code === 410 ? "what a watch knew is gone (410)" : null;
  }
}

async function controllersAway(victims: Victims): Promise<string> {
  await victims.cluster.stopControllerManager();
  await lasting(victims, victims.random.between(500, 3_000));
  await victims.cluster.startControllerManager();
  return "back";
}

/** The machine that runs everything is gone; its pods stay as they were until somebody helps. */
async function loseNode(victims: Victims, farewell: Farewell): Promise<string | null> {
  const { clients, namespace, machine } = victims;
  const lost = await machine.lose(farewell);
  const onIt = async (): Promise<number> => {
    const { items } = await clients.core.listNamespacedPod({ namespace, fieldSelector: `spec.nodeName=${lost}` });
    return items.length;
  };
  const left = await unlessAway(onIt);
  if (left === null || left === 0) return null;
  const gone = await within(victims, PODS_GONE_MS, async () => ((await onIt()) === 0 ? true : null));
  return gone === null ? "pods were still there" : `${left > 1 ? "several pods" : "one pod"} on it`;
}

async function deleteAllJobs(victims: Victims): Promise<string | null> {
  const { clients, namespace } = victims;
  const jobs = await liveJobs(victims);
  if (jobs.length === 0) return null;
  const propagationPolicy = victims.random.pick(["Background", "Foreground"] as const);
  const gone = await unlessAway(() => clients.batch.deleteCollectionNamespacedJob({ namespace, propagationPolicy }));
  return gone === null ? null : `${jobs.length > 1 ? "several" : "one"} live`;
}

async function deleteOneJob(victims: Victims): Promise<string | null> {
  const { clients, namespace, random } = victims;
  const jobs = await liveJobs(victims);
  if (jobs.length === 0) return null;
  const name = random.pick(jobs).metadata?.name ?? "";
  const propagationPolicy = random.pick(["Background", "Foreground", "Orphan"] as const);
  const gone = await unlessAway(() => clients.batch.deleteNamespacedJob({ namespace, name, propagationPolicy }));
  return gone === null ? null : propagationPolicy;
}

async function deleteOnePod(victims: Victims): Promise<string | null> {
  const { clients, namespace, random } = victims;
  const list = await unlessAway(() => clients.core.listNamespacedPod({ namespace }));
  const pods = (list?.items ?? []).filter(
    ({ metadata, status }) =>
      metadata?.deletionTimestamp === undefined && status?.phase !== "Succeeded" && status?.phase !== "Failed",
  );
  if (pods.length === 0) return null;
  const pod = random.pick(pods);
  const gone = await unlessAway(() => clients.core.deleteNamespacedPod({ namespace, name: pod.metadata?.name ?? "" }));
  return gone === null ? null : `${pod.status?.phase}`;
}

async function liveJobs({ clients, namespace }: Victims): Promise<V1Job[]> {
  const list = await unlessAway(() => clients.batch.listNamespacedJob({ namespace }));
  return (list?.items ?? []).filter(
    ({ metadata, status }) => metadata?.deletionTimestamp === undefined && status?.completionTime === undefined,
  );
}
