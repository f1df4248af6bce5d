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
import { containerdPrograms, importImage, startContainerd } from "./containerd.ts";
import { exportImage } from "./images/buildah.ts";
import { ensurePauseImage } from "./images/pause-image.ts";
import { imagesProblem } from "./images/problem.ts";
import { startKubelet } from "./kubelet.ts";
import { prepareMachine, restoreMachine } from "./machine.ts";
import { PAUSE_IMAGE, PLACE } from "./place.ts";

const READY_TIMEOUT_MS = 60_000;
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

/** Resolves when the node is ready. @throws Error with the end of the log of the part that did not start */
export async function startNode(cluster: TestCluster): Promise<TestNode> {
  const programs = await containerdPrograms();
  await ensurePauseImage();
  await prepareMachine();
  const name = "test-node";
  try {
    await startContainerd(programs);
    const addImage = (image: string): Promise<void> => addImageTo(programs, image);
    await addImage(PAUSE_IMAGE);
    const kubelet = await startKubelet(cluster, name);
    const { core } = clientsFor(cluster.kubeconfig);
    const isReady = async (): Promise<boolean> => {
      await kubelet.checkAlive();
      const node = await unlessNotFound(core.readNode({ name }));
      return node?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
    };
    await eventually("the node is ready", isReady, READY_TIMEOUT_MS);
    return { name, address: PLACE.address, addImage, stop: restoreMachine };
  } catch (error) {
    await restoreMachine();
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
