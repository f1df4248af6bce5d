/** The layers of an image as a registry holds them and a node pulls them. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { buildah } from "./buildah.ts";

export interface Layer {
  digest: string;
  /** Compressed, which is what goes over the wire. */
  bytes: number;
}

/** The layers of an image that another one does not have, from the lowest to the uppermost. */
export async function newLayers(image: string, before: string): Promise<Layer[]> {
  const had = new Set(await withLayers(before, async (digests) => digests));
  return withLayers(image, async (digests, contents) => {
    const added = digests.filter((digest) => !had.has(digest));
    return Promise.all(
      added.map(async (digest) => ({ digest, bytes: gzipSync(await readFile(contents(digest))).length })),
    );
  });
}

/** Not compressed by buildah: it would do so with all of them, the large ones too. */
async function withLayers<T>(
  name: string,
  read: (digests: string[], contents: (digest: string) => string) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "myzel-layers-"));
  try {
    await buildah("push", "--quiet", "--disable-compression", "--format", "oci", name, `dir:${directory}`);
    const manifest = JSON.parse(await readFile(join(directory, "manifest.json"), "utf8")) as {
      layers: { digest: string }[];
    };
    return await read(
      manifest.layers.map(({ digest }) => digest),
      (digest) => join(directory, digest.replace("sha256:", "")),
    );
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
