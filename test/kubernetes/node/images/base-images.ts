/**
 * Stand-ins for the images that ours are built from, made without a registry:
 *
 * - `docker.io/library/debian:bookworm-slim`: Debian by debootstrap, which also trusts the certificates that this
 *   machine trusts, for the npm and apt of a build go through the same network;
 * - `docker.io/library/node:24-slim`: that, the Node of the checkout, npm, and the user `node` (1000), as the
 *   official image has them.
 */
import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { oneAtATime } from "../../support/one-at-a-time.ts";
import { cacheDirectory } from "../cache.ts";
import { runProgram } from "../program.ts";
import { buildah, tidyStorage } from "./buildah.ts";

export const DEBIAN = "docker.io/library/debian:bookworm-slim";
const NODE = "docker.io/library/node:24-slim";

const NPM_VERSION = "11.19.1";
const OWN_CERTIFICATES = "/usr/local/share/ca-certificates";

let made: Promise<void> | undefined;

/** Makes those that the storage does not hold (a minute, and the network for Debian's and npm's packages). */
export function ensureBaseImages(): Promise<void> {
  return (made ??= oneAtATime("base images", makeMissing));
}

async function makeMissing(): Promise<void> {
  await tidyStorage();
  if ((await madeWith(NODE)) === process.version) return;
  const scratch = cacheDirectory("rootfs");
  await rm(scratch, { recursive: true, force: true });
  try {
    const debian = join(scratch, "debian");
    const node = join(scratch, "node");
    await layOutDebian(debian);
    await commit({ from: "scratch", name: DEBIAN, tree: debian });
    await layOutNode(node);
    await commit({ from: DEBIAN, name: NODE, tree: node, run: "useradd --uid 1000 --create-home node" });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The Node with which the image was made; null where there is no image. */
async function madeWith(name: string): Promise<string | null> {
  const text = await buildah("inspect", "--type", "image", name).catch(() => "{}");
  const image = JSON.parse(text) as { OCIv1?: { config?: { Labels?: Record<string, string> } } };
  return image.OCIv1?.config?.Labels?.["made-with"] ?? null;
}

async function layOutDebian(tree: string): Promise<void> {
  await runProgram("debootstrap", ["--variant=minbase", "--include=ca-certificates", "bookworm", tree]);
  await cp(OWN_CERTIFICATES, join(tree, OWN_CERTIFICATES), { recursive: true });
  await runProgram("chroot", [tree, "update-ca-certificates"]);
  for (const name of ["var/cache/apt/archives", "var/lib/apt/lists"]) {
    await rm(join(tree, name), { recursive: true });
    await mkdir(join(tree, name, "partial"), { recursive: true });
  }
}

async function layOutNode(tree: string): Promise<void> {
  const local = join(tree, "usr/local");
  await mkdir(join(local, "etc"), { recursive: true });
  await cp(process.execPath, join(local, "bin/node"), { dereference: true });
  await runProgram("npm", ["install", "--global", "--prefix", local, `npm@${NPM_VERSION}`]);
  await writeFile(join(local, "etc/npmrc"), "cafile=/etc/ssl/certs/ca-certificates.crt\n");
}

async function commit(image: { from: string; name: string; tree: string; run?: string }): Promise<void> {
  const container = (await buildah("from", "--pull=never", image.from)).trim();
  try {
    await buildah("copy", "--quiet", container, image.tree, "/");
    if (image.run !== undefined) await buildah("run", container, "--", "sh", "-c", image.run);
    await buildah("config", "--label", `made-with=${process.version}`, container);
    await buildah("commit", "--quiet", container, image.name);
  } finally {
    await buildah("rm", container);
  }
}
