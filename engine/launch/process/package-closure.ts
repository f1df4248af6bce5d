/** The npm packages that a program needs, found as Node finds them. */
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";

/** An installed package: its real directory and where it lies relative to the `node_modules` that holds it. */
export interface InstalledPackage {
  name: string;
  version: string;
  directory: string;
}

interface Manifest {
  version?: string;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
}

/** All packages that the one in `directory` needs at run time, itself not included. What is not installed is left out. */
export function packageClosure(directory: string): InstalledPackage[] {
  const found = new Map<string, InstalledPackage>();
  const pending = [realpathSync(directory)];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    for (const name of dependencyNames(at)) {
      const place = findPackage(name, at);
      if (place === null || found.has(place)) continue;
      found.set(place, { name, version: readManifest(place).version ?? "", directory: place });
      pending.push(place);
    }
  }
  return [...found.values()];
}

/** The directory of a package as seen from `from`; null where it is not installed. */
export function findPackage(name: string, from: string): string | null {
  for (let at = from; ; at = dirname(at)) {
    const candidate = join(at, "node_modules", name);
    if (existsSync(join(candidate, "package.json"))) return realpathSync(candidate);
    if (at === dirname(at)) return null;
  }
}

function dependencyNames(directory: string): string[] {
  const { dependencies, optionalDependencies, peerDependencies } = readManifest(directory);
  return Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies });
}

function readManifest(directory: string): Manifest {
  try {
    return JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as Manifest;
  } catch {
    return {};
  }
}
