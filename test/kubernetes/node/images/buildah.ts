/**
 * Debian's buildah with a storage of its own in the cache: builds Dockerfiles as root without a daemon, without a
 * registry and without namespaces. What older versions of our Dockerfiles left is removed; the base images stay.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cacheDirectory } from "../cache.ts";
import { runProgram } from "../program.ts";

const ROOT = join(import.meta.dirname, "../../../..");
const STORAGE = cacheDirectory("images");
const DOCKERFILES = ["Dockerfile", "worker-image/Dockerfile"];

/** overlay copies nothing between layers; vfs, which works everywhere, copies the whole image for each. */
const DRIVER = process.env["STORAGE_DRIVER"] || "overlay";

/** Runs one command of buildah. @throws Error with its last words */
export async function buildah(...args: readonly string[]): Promise<string> {
  const { program, options, environment } = buildahCommand(args);
  return runProgram(program, options, { environment });
}

/** The same for a caller that starts it itself. */
export function buildahCommand(args: readonly string[]): {
  program: string;
  options: string[];
  environment: Record<string, string>;
} {
  const options = ["--root", join(STORAGE, "storage"), "--runroot", join(STORAGE, "run")];
  // Else the storage stays mounted on itself, and the cache cannot be removed.
  if (DRIVER === "overlay") options.push("--storage-opt", "overlay.skip_mount_home=true");
  const environment = { STORAGE_DRIVER: DRIVER, BUILDAH_ISOLATION: "chroot" };
  return { program: "buildah", options: [...options, ...args], environment };
}

/** Builds a Dockerfile, layer by layer. Nothing is fetched from a registry. */
export async function buildImage(image: {
  dockerfile: string;
  context: string;
  name: string;
  arguments?: Record<string, string>;
}): Promise<void> {
  const args = Object.entries(image.arguments ?? {}).flatMap(([name, value]) => ["--build-arg", `${name}=${value}`]);
  const build = ["bud", "--layers", "--force-rm", "--pull=never", "--quiet", ...args, "--tag", image.name];
  await buildah(...build, "--file", image.dockerfile, image.context);
}

/** Writes the image as an archive that containerd and Docker can load; its layers are not compressed, which saves time. */
export async function exportImage(name: string, file: string): Promise<void> {
  await buildah("push", "--quiet", name, `docker-archive:${file}:${name}`);
}

/** Removes what an interrupted test left, and the layers of Dockerfiles that have changed since. */
export async function tidyStorage(): Promise<void> {
  await mkdir(STORAGE, { recursive: true });
  await buildah("rm", "--all");
  const hash = createHash("sha256");
  for (const name of DOCKERFILES) hash.update(await readFile(join(ROOT, name)));
  const version = hash.digest("hex");
  const note = join(STORAGE, "dockerfiles");
  if ((await readFile(note, "utf8").catch(() => null)) === version) return;
  await buildah("rmi", "--prune");
  await writeFile(note, version);
}
