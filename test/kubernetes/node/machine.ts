/**
 * What a node does to the machine beyond its own directory, and putting it back: network devices, cgroups, mounts,
 * kernel settings, processes. Everything is found by the names in place.ts, so that also what a killed test left is put back.
 */
import { mkdir, readdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "../../support/waiting.ts";
import { type NodeNetwork, removeNetworks } from "./network.ts";
import { PLACE } from "./place.ts";
import { runProgram } from "./program.ts";

const CGROUPS = "/sys/fs/cgroup";

/** Those that a kubelet changes, and the last one Cilium's agent. */
const KERNEL_SETTINGS = [
  "vm/overcommit_memory",
  "vm/panic_on_oom",
  "kernel/panic",
  "kernel/panic_on_oops",
  "kernel/keys/root_maxkeys",
  "kernel/keys/root_maxbytes",
  "kernel/timer_migration",
];

/** Makes what the node needs; `restoreMachine` takes it away. */
export async function prepareMachine(network: NodeNetwork): Promise<void> {
  await restoreMachine();
  await mkdir(PLACE.directory, { recursive: true, mode: 0o700 });
  await noteKernelSettings();
  await network.make();
  for (const hierarchy of await cgroupHierarchies()) await mkdir(join(hierarchy, PLACE.cgroup), { recursive: true });
}

/** Puts everything back as it was before `prepareMachine`. May be called at any time. */
export async function restoreMachine(): Promise<void> {
  await endProcesses();
  await unmountAll();
  for (const hierarchy of await cgroupHierarchies()) await removeCgroup(join(hierarchy, PLACE.cgroup));
  await removeNetworks();
  await restoreKernelSettings();
  await rm(PLACE.directory, { recursive: true, force: true, maxRetries: 3 });
}

const NOTES = join(PLACE.directory, "kernel-settings.json");

async function noteKernelSettings(): Promise<void> {
  const settings: Record<string, string> = {};
  for (const name of KERNEL_SETTINGS) settings[name] = await readFile(join("/proc/sys", name), "utf8");
  await writeFile(NOTES, JSON.stringify(settings));
}

async function restoreKernelSettings(): Promise<void> {
  const notes = await readFile(NOTES, "utf8").catch(() => "{}");
  for (const [name, value] of Object.entries(JSON.parse(notes) as Record<string, string>)) {
    await writeFile(join("/proc/sys", name), value);
  }
}

/** containerd, its shims, the kubelet and Cilium name our directory on their command lines; containers are in our cgroup. */
async function endProcesses(): Promise<void> {
  await eventually("the node's processes have ended", async () => {
    const pids = [...(await processesOfDirectory()), ...(await processesOfCgroups())];
    for (const pid of pids) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // Ended by itself.
      }
    }
    return pids.length === 0;
  });
}

async function processesOfDirectory(): Promise<number[]> {
  const pids: number[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    const words = (await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "")).split("\0");
    const isOurs = words.some((word) => word.replace(/^--?[a-z-]+=/, "").startsWith(`${PLACE.directory}/`));
    if (isOurs) pids.push(Number(name));
  }
  return pids;
}

async function processesOfCgroups(): Promise<number[]> {
  const pids = new Set<number>();
  for (const hierarchy of await cgroupHierarchies()) {
    for (const directory of await cgroupsBelow(join(hierarchy, PLACE.cgroup))) {
      const text = await readFile(join(directory, "cgroup.procs"), "utf8").catch(() => "");
      for (const pid of text.trim().split("\n")) if (Number(pid) > 0) pids.add(Number(pid));
    }
  }
  return [...pids];
}

/** One for each controller with version 1, the only one with version 2; both where they are mixed. */
async function cgroupHierarchies(): Promise<string[]> {
  const mounts = (await readFile("/proc/self/mounts", "utf8")).split("\n").map((line) => line.split(" "));
  return mounts
    .filter(([, path = "", type]) => path.startsWith(CGROUPS) && (type === "cgroup" || type === "cgroup2"))
    .map(([, path = ""]) => path);
}

/** The innermost first. */
async function cgroupsBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => null);
  if (entries === null) return [];
  const children = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(directory, name));
  return [...(await Promise.all(children.map(cgroupsBelow))).flat(), directory];
}

async function removeCgroup(directory: string): Promise<void> {
  for (const cgroup of await cgroupsBelow(directory)) {
    // Its last process may still be on its way out.
    await eventually(`${cgroup} can be removed`, () =>
      rmdir(cgroup).then(
        () => true,
        (error: NodeJS.ErrnoException) => error.code === "ENOENT",
      ),
    );
  }
}

async function unmountAll(): Promise<void> {
  const mounts = (await readFile("/proc/self/mounts", "utf8")).split("\n").map((line) => line.split(" ")[1] ?? "");
  const ours = mounts.filter((path) => path.startsWith(`${PLACE.directory}/`));
  for (const path of ours.toReversed()) await runProgram("umount", ["--lazy", path]);
}
