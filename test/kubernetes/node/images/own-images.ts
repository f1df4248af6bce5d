/** Our own images, built from the checkout. The first build takes some minutes, further ones seconds. */
import { join } from "node:path";
import { ensureBaseImages } from "./base-images.ts";
import { buildImage } from "./buildah.ts";

const ROOT = join(import.meta.dirname, "../../../..");

export const WORKER_IMAGE = "localhost/myzel-worker:test";
export const ENGINE_IMAGE = "localhost/myzel-engine:test";

/** @param context another directory than the checkout, which holds what the Dockerfile copies */
export async function buildWorkerImage(
  options: { name?: string; base?: string; context?: string } = {},
): Promise<void> {
  await ensureBaseImages();
  await buildImage({
    dockerfile: join(ROOT, "worker-image/Dockerfile"),
    context: options.context ?? ROOT,
    name: options.name ?? WORKER_IMAGE,
    arguments: options.base === undefined ? {} : { BASE: options.base },
  });
}

export async function buildEngineImage(): Promise<void> {
  await ensureBaseImages();
  await buildImage({ dockerfile: join(ROOT, "Dockerfile"), context: ROOT, name: ENGINE_IMAGE });
}
