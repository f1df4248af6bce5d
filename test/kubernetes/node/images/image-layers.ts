/** The layers of an image as a registry would hold them, but not compressed. */
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildah } from "./buildah.ts";

export interface Layer {
  digest: string;
  bytes: number;
}

/** From the lowest to the uppermost. */
export async function layersOf(name: string): Promise<Layer[]> {
  const directory = await mkdtemp(join(tmpdir(), "myzel-layers-"));
  try {
    await buildah("push", "--quiet", "--disable-compression", "--format", "oci", name, `dir:${directory}`);
    const manifest = JSON.parse(await readFile(join(directory, "manifest.json"), "utf8")) as {
      layers: { digest: string }[];
    };
    const sizes = manifest.layers.map(({ digest }) => stat(join(directory, digest.replace("sha256:", ""))));
    const files = await Promise.all(sizes);
    return manifest.layers.map(({ digest }, index) => ({ digest, bytes: files[index]?.size ?? 0 }));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
