/** containerd 2 for the node, built from its published module: kubelets from 1.36 want it, and Debian has an older one. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "../../support/waiting.ts";
import { startDaemon } from "./daemon.ts";
import { cached } from "./cache.ts";
import { goInstall } from "./go-install.ts";
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

/** Resolves when it answers. */
export async function startContainerd(programs: string): Promise<void> {
  const config = join(PLACE.directory, "containerd.toml");
  await mkdir(PLACE.cniConfig, { recursive: true });
  await writeFile(join(PLACE.cniConfig, "10-bridge.conflist"), JSON.stringify(NETWORK));
  await writeFile(config, CONFIG);
  const daemon = await startDaemon({
    program: join(programs, "containerd"),
    args: ["--config", config],
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

const CONFIG = `
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
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "${PLACE.cniConfig}"
`;

/** The bridge has its address already: as a gateway the plugin would switch on the machine's forwarding. */
const NETWORK = {
  cniVersion: "1.0.0",
  name: "myzel-test",
  plugins: [
    {
      type: "bridge",
      bridge: PLACE.bridge,
      ipMasq: false,
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: PLACE.subnet, gateway: PLACE.address }]],
        routes: [{ dst: "0.0.0.0/0" }],
        dataDir: join(PLACE.directory, "addresses"),
      },
    },
  ],
};
