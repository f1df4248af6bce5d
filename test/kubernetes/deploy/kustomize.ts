/** Renders a directory of deploy/: kustomize itself, built from the Go module proxy once and kept in the cache. */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { loadAll } from "js-yaml";
import { cached, cacheDirectory } from "../node/cache.ts";
import { goInstall, goProblem } from "../node/go-install.ts";
import { runProgram } from "../node/program.ts";

const VERSION = "5.8.1";
const PLACE = { name: "kustomize", version: VERSION };

/** What every object has. The rest is looked at by path. */
export interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  [field: string]: unknown;
}

/** Why kustomize cannot be had here; false if it can (for `skip`). */
export async function kustomizeProblem(): Promise<string | false> {
  const there = await access(cacheDirectory(`${PLACE.name}-${PLACE.version}`)).then(
    () => true,
    () => false,
  );
  return there ? false : goProblem();
}

/** Path of the program, which is built first where it is not there yet (about a minute). */
export async function kustomizeProgram(): Promise<string> {
  const module = `sigs.k8s.io/kustomize/kustomize/v5@v${VERSION}`;
  return join(await cached(PLACE, (draft) => goInstall([module], draft)), "kustomize");
}

/** The objects of a kustomization, as `kubectl apply -k` would send them. @throws Error with kustomize's own words */
export async function render(directory: string): Promise<KubernetesObject[]> {
  return loadAll(await runProgram(await kustomizeProgram(), ["build", directory])) as KubernetesObject[];
}
