/**
 * What a run executes and reads, where its user can reach it.
 *
 * Where the engine is root, a checkout or a Node below /root is out of reach for the users of runs.
 * What is out of reach is then linked or copied into `<data>/worker/<hash>/`, once for each version;
 * what is within reach is used where it lies.
 */
import { createHash, randomBytes } from "node:crypto";
import { constants, copyFileSync, cpSync, existsSync, linkSync, mkdirSync, readdirSync, realpathSync } from "node:fs";
import { chmodSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { spawnSync } from "node:child_process";
import { LaunchError } from "../launcher.ts";
import type { ClaudeLocation } from "./claude-cli.ts";
import { packageClosure, type InstalledPackage } from "./package-closure.ts";
import { othersMayPass, othersMayRead, othersMayRun } from "./reachable.ts";
import { removeTree } from "./remove-tree.ts";

export interface WorkerKit {
  node: string;
  workerImage: string;
  relayClient: string;
  claude: string;
}

export interface KitSources {
  node: string;
  workerImageDir: string;
  claude: ClaudeLocation;
}

const UNUSED_MS = 3_600_000;

const RELAY_CLIENT = join(import.meta.dirname, "relay-client.ts");

/** The kit of an engine that is no root: everything where it lies. */
export function kitInPlace(sources: KitSources): WorkerKit {
  return {
    node: sources.node,
    workerImage: sources.workerImageDir,
    relayClient: RELAY_CLIENT,
    claude: sources.claude.path,
  };
}

/**
 * The kit for users other than the engine's; copies what they cannot reach. Any number of engines may
 * do so at once.
 * @throws LaunchError where the copy fails
 */
export function reachableKit(dataDir: string, sources: KitSources): WorkerKit {
  const packages = packageClosure(sources.workerImageDir);
  const copyNode = !othersMayRun(sources.node);
  const copyImage = !imageIsReachable(sources.workerImageDir, packages);
  const copyClaude = !othersMayRun(sources.claude.path);
  const inPlace = kitInPlace(sources);
  if (!copyNode && !copyImage && !copyClaude) return inPlace;

  const parts = [
    ...(copyNode ? ["node", fileVersion(sources.node)] : []),
    ...(copyImage ? ["image", ...imageVersion(sources.workerImageDir, packages)] : []),
    ...(copyClaude ? ["claude", fileVersion(sources.claude.path)] : []),
  ];
  const kit = join(dataDir, "worker", createHash("sha256").update(parts.join("\n")).digest("hex").slice(0, 16));
  if (existsSync(kit)) {
    utimesSync(kit, new Date(), new Date());
  } else {
    buildKit(kit, (fresh) => {
      if (copyNode) linkProgram(sources.node, join(fresh, "bin", "node"));
      if (copyImage) copyWorkerImage(sources.workerImageDir, packages, fresh);
      if (copyClaude) linkProgram(sources.claude.path, join(fresh, "bin", "claude"));
    });
  }
  return {
    node: copyNode ? join(kit, "bin", "node") : inPlace.node,
    workerImage: copyImage ? join(kit, "worker-image") : inPlace.workerImage,
    relayClient: copyImage ? join(kit, basename(RELAY_CLIENT)) : inPlace.relayClient,
    claude: copyClaude ? join(kit, "bin", "claude") : inPlace.claude,
  };
}

/**
 * Runs the CLI as the run's user: a wrapper script may lead to where that user cannot follow.
 * @throws LaunchError with a sentence
 */
export function checkClaude(kit: WorkerKit, original: ClaudeLocation, uid: number, path: string): void {
  const environment = { PATH: path, HOME: "/nonexistent", LANG: "C.UTF-8" };
  const run = spawnSync(kit.claude, ["--version"], { uid, gid: uid, env: environment, cwd: "/", timeout: 20_000 });
  if (run.status === 0) return;
  throw new LaunchError(
    "launch_failed",
    `The Claude Code at ${original.path} does not run for the unprivileged users that runs get here: put one on the PATH that every user can run (\`npm install -g @anthropic-ai/claude-code\` as root), or take it off the PATH to use the one that comes along.`,
  );
}

/** Removes the kits that no run directory names and no launch has used for an hour. */
export async function removeOldKits(dataDir: string, isUsed: (kit: string) => boolean): Promise<void> {
  const directory = join(dataDir, "worker");
  if (!existsSync(directory)) return;
  for (const name of readdirSync(directory)) {
    const kit = join(directory, name);
    const age = Date.now() - (statSync(kit, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > UNUSED_MS && !isUsed(kit)) await removeTree(kit);
  }
}

function buildKit(kit: string, fill: (directory: string) => void): void {
  const fresh = join(dirname(kit), `.${basename(kit)}.${randomBytes(6).toString("hex")}`);
  try {
    mkdirSync(join(fresh, "bin"), { recursive: true });
    fill(fresh);
    openToOthers(fresh);
    renameSync(fresh, kit);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    // Another engine was faster: the same name holds the same content.
    if (existsSync(kit)) return;
    throw new LaunchError("launch_failed", `The programs of runs could not be copied to ${kit}: ${String(error)}`, {
      cause: error,
    });
  }
}

/** The file behind every link; a link of its own where the file system allows, for these are hundreds of megabytes. */
function linkProgram(program: string, to: string): void {
  const real = realpathSync(program);
  if ((statSync(real).mode & 0o005) === 0o005) {
    try {
      return linkSync(real, to);
    } catch {
      // Another file system.
    }
  }
  copyFileSync(real, to, constants.COPYFILE_FICLONE);
  chmodSync(to, 0o755);
}

function copyWorkerImage(workerImageDir: string, packages: readonly InstalledPackage[], kit: string): void {
  const root = dirname(realpathSync(workerImageDir));
  const copy = (from: string, to: string): void =>
    cpSync(from, to, { recursive: true, dereference: true, filter: (path) => basename(path) !== ".bin" });
  cpSync(workerImageDir, join(kit, "worker-image"), {
    recursive: true,
    dereference: true,
    filter: (path) => basename(path) !== "node_modules",
  });
  for (const { name, directory } of outermost(packages)) {
    const place = relative(root, directory);
    copy(directory, join(kit, place.startsWith("..") ? join("node_modules", name) : place));
  }
  copyFileSync(RELAY_CLIENT, join(kit, basename(RELAY_CLIENT)));
  writeFileSync(join(kit, "package.json"), '{"type":"module"}\n');
}

/** Packages that no other one of them contains: a nested one comes with its holder. */
function outermost(packages: readonly InstalledPackage[]): InstalledPackage[] {
  return packages.filter(
    ({ directory }) => !packages.some((other) => directory.startsWith(`${other.directory}/node_modules/`)),
  );
}

function imageIsReachable(workerImageDir: string, packages: readonly InstalledPackage[]): boolean {
  const relayIsOpen = (statSync(RELAY_CLIENT).mode & 0o004) !== 0 && othersMayPass(realpathSync(RELAY_CLIENT));
  if (!relayIsOpen || !othersMayRead(workerImageDir, ["node_modules"])) return false;
  return packages.every(
    ({ directory }) => othersMayPass(directory) && (statSync(join(directory, "package.json")).mode & 0o004) !== 0,
  );
}

function fileVersion(path: string): string {
  const real = realpathSync(path);
  const { size, mtimeMs } = statSync(real);
  return `${real} ${size} ${mtimeMs}`;
}

function imageVersion(workerImageDir: string, packages: readonly InstalledPackage[]): string[] {
  const hash = createHash("sha256").update(readFileSync(RELAY_CLIENT));
  const names = readdirSync(workerImageDir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !relative(workerImageDir, path).split("/").includes("node_modules"));
  for (const path of names.toSorted()) hash.update(`${relative(workerImageDir, path)}\n`).update(readFileSync(path));
  return [hash.digest("hex"), ...packages.map(({ name, version }) => `${name}@${version}`).toSorted()];
}

/** Directories and files as everybody may read them, whatever the mask was under which they were installed. */
function openToOthers(directory: string): void {
  chmodSync(directory, 0o755);
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) openToOthers(path);
    else openFile(path);
  }
}

function openFile(path: string): void {
  const { mode, nlink } = statSync(path);
  // A linked program is open already, and its mode is the user's own.
  if (nlink === 1) chmodSync(path, (mode & 0o111) === 0 ? 0o644 : 0o755);
}
