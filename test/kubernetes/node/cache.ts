/**
 * Where the node level keeps what takes minutes to make: in the user's cache directory, each thing below a name that
 * holds its version, never in the checkout. Older versions of the same thing go when a new one is made.
 */
import { access, mkdir, readdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { oneAtATime } from "../support/one-at-a-time.ts";

/**
 * The directory of this thing in this version, made by `make` where it is not there yet. Makers wait for one another;
 * a broken-off making leaves nothing that would count as made.
 */
export async function cached(
  thing: { name: string; version: string },
  make: (directory: string) => Promise<void>,
): Promise<string> {
  const directory = cacheDirectory(`${thing.name}-${thing.version}`);
  return oneAtATime(directory, async () => {
    if (await exists(directory)) return directory;
    const draft = `${directory}.draft`;
    await rm(draft, { recursive: true, force: true });
    await mkdir(draft, { recursive: true });
    await make(draft);
    await rename(draft, directory);
    await removeOlder(thing, directory);
    return directory;
  });
}

/** A directory below the cache, which is made by whoever uses it. */
export function cacheDirectory(name: string): string {
  const cache = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  return join(cache, "myzel-test-node", name);
}

async function removeOlder(thing: { name: string }, kept: string): Promise<void> {
  const parent = cacheDirectory("");
  for (const name of await readdir(parent)) {
    const isOlder = name.startsWith(`${thing.name}-`) && join(parent, name) !== kept;
    if (isOlder) await rm(join(parent, name), { recursive: true, force: true });
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
