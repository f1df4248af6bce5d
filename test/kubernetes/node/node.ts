/**
 * A real node on this machine for a test cluster: kubelet, containerd, runc, a bridge. One at a time.
 *
 * It needs root and changes the machine while it lives (see machine.ts); `stop` puts everything back, and so does the
 * next start where a test was killed.
 */
import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../../support/waiting.ts";
import { clientsFor, unlessNotFound } from "../support/clients.ts";
import type { TestCluster } from "../support/cluster.ts";
import { ownClusterProblem } from "../support/shared-cluster.ts";
import { startCilium } from "./cilium/agent.ts";
import { ciliumPrograms, ciliumProblem } from "./cilium/programs.ts";
import { containerdPrograms, importImage, startContainerd } from "./containerd.ts";
import { type Forward, forward } from "./forward.ts";
import { exportImage } from "./images/buildah.ts";
import { ensurePauseImage } from "./images/pause-image.ts";
import { imagesProblem } from "./images/problem.ts";
import { startKubelet } from "./kubelet.ts";
import { prepareMachine, restoreMachine } from "./machine.ts";
import { BRIDGE, CILIUM } from "./network.ts";
import { PAUSE_IMAGE, PLACE } from "./place.ts";

const READY_TIMEOUT_MS = 60_000;
/** Where the API server listens in clusters, and where its Service does. */
const API_PORT = 6443;
const SERVICE_PORT = 443;
const NEEDED = ["/usr/sbin/runc", "/usr/lib/cni/bridge", "/usr/lib/cni/host-local"];

export interface TestNode {
  readonly name: string;
  /** Where pods reach this machine. */
  readonly address: string;
  /** Brings an image from the images' storage to the node. */
  addImage(name: string): Promise<void>;
  stop(): Promise<void>;
}

/** Why there can be no node here; false if there can (for `skip`). */
export async function nodeProblem(): Promise<string | false> {
  const problem = (await imagesProblem()) || (await ownClusterProblem());
  if (problem !== false) return problem;
  for (const path of NEEDED) {
    const there = await access(path).then(
      () => true,
      () => false,
    );
    if (!there) return `a node needs ${path} (Debian: runc, containernetworking-plugins)`;
  }
  return false;
}

/** Why there can be no node here that enforces NetworkPolicies; false if there can (for `skip`). */
export async function enforcingNodeProblem(): Promise<string | false> {
  return (await nodeProblem()) || ciliumProblem();
}

/**
 * Resolves when the node is ready.
 * @param options.enforcing its network is Cilium's, which enforces NetworkPolicies and knows Services; the API server is
 *   at port 6443 of `address`. Else it is a bridge that does neither; the API server's Service address is there all the
 *   same.
 * @throws Error with the end of the log of the part that did not start
 */
export async function startNode(
  cluster: TestCluster,
  { enforcing = false }: { enforcing?: boolean } = {},
): Promise<TestNode> {
  const network = enforcing ? CILIUM : BRIDGE;
  const programs = await containerdPrograms();
  const cilium = enforcing ? await ciliumPrograms() : null;
  await ensurePauseImage();
  await prepareMachine(network);
  const name = "test-node";
  let apiServer: Forward | null = null;
  const stop = async (): Promise<void> => {
    await restoreMachine();
    await apiServer?.close();
  };
  try {
    const apiPort = Number(new URL(cluster.server).port);
    apiServer = enforcing
      ? await forward(PLACE.address, apiPort, API_PORT)
      : await forward(PLACE.apiService, apiPort, SERVICE_PORT);
    const server = enforcing ? `https://${PLACE.address}:${API_PORT}` : cluster.server;
    await startContainerd(programs, { network, plugins: [...(cilium === null ? [] : [cilium]), "/usr/lib/cni"] });
    const addImage = (image: string): Promise<void> => addImageTo(programs, image);
    await addImage(PAUSE_IMAGE);
    const kubelet = await startKubelet(cluster, { nodeName: name, network, server });
    const { core } = clientsFor(cluster.kubeconfig);
    const isReady = async (): Promise<boolean> => {
      await kubelet.checkAlive();
      const node = await unlessNotFound(core.readNode({ name }));
      return node?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
    };
    await eventually("the node is ready", isReady, READY_TIMEOUT_MS);
    if (cilium !== null) await startCilium(cluster, { programs: cilium, nodeName: name, server });
    return { name, address: PLACE.address, addImage, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function addImageTo(programs: string, image: string): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), "myzel-image-"));
  try {
    const file = join(scratch, "image.tar");
    await exportImage(image, file);
    await importImage(programs, file);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
