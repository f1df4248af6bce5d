/** containerd 2 for the node, built from its published module: kubelets from 1.36 want it, and Debian has an older one. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "../../support/waiting.ts";
import { startDaemon } from "./daemon.ts";
import { cached } from "./cache.ts";
import { goInstall } from "./go-install.ts";
import type { NodeNetwork } from "./network.ts";
import { PAUSE_IMAGE, PLACE } from "./place.ts";
import { runProgram } from "./program.ts";

const VERSION = "2.4.2";
const PROGRAMS = ["containerd", "containerd-shim-runc-v2", "ctr"];

/** The directory with the programs (a minute and a half to build, once). */
export async function containerdPrograms(): Promise<string> {
  const module = "github.com/containerd/containerd/v2/cmd";
  return cached({ name: "containerd", version: VERSION }, (draft) =>
    goInstall(
      PROGRAMS.map((name) => `${module}/${name}@v${VERSION}`),
      draft,
    ),
  );
}

export const CILIUM_SOCKET = join(PLACE.directory, "cilium.sock");

/**
 * Resolves when it answers.
 * @param plugins directories with programs for containers' networks
 */
export async function startContainerd(
  programs: string,
  { network, plugins }: { network: NodeNetwork; plugins: readonly string[] },
): Promise<void> {
  const config = join(PLACE.directory, "containerd.toml");
  await mkdir(PLACE.cniConfig, { recursive: true });
  await writeFile(join(PLACE.cniConfig, "10-network.conflist"), JSON.stringify(network.containers));
  await writeFile(config, configWith(plugins));
  const daemon = await startDaemon({
    program: join(programs, "containerd"),
    args: ["--config", config],
    enter: network.enter,
    environment: { CILIUM_SOCK: CILIUM_SOCKET },
    // The shim must be there too.
    path: `${programs}:${process.env["PATH"]}`,
    logFile: join(PLACE.directory, "containerd.log"),
  });
  await eventually("containerd answers", async () => {
    await daemon.checkAlive();
    return containerd(programs, "version").then(
      () => true,
      () => false,
    );
  });
}

/** Brings an image's archive to the node. */
export async function importImage(programs: string, file: string): Promise<void> {
  await containerd(programs, "images", "import", file);
}

async function containerd(programs: string, ...args: string[]): Promise<string> {
  return runProgram(join(programs, "ctr"), ["--address", PLACE.socket, "--namespace", "k8s.io", ...args]);
}

const configWith = (plugins: readonly string[]): string => `
version = 3
root = "${join(PLACE.directory, "containerd")}"
state = "${join(PLACE.directory, "state")}"

[grpc]
  address = "${PLACE.socket}"

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "${PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
  # Else every sandbox ends with "can't get final child's PID from pipe" where scores may not be lowered.
  restrict_oom_score_adj = true
  # What is mounted goes with the directory.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ${JSON.stringify(plugins)}
    conf_dir = "${PLACE.cniConfig}"
`;
