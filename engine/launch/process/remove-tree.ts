/**
 * Removes a directory that an agent has filled: deep, large, or with directories that nobody may
 * enter. Follows no symlink.
 */
import { chmod, readdir, rm } from "node:fs/promises";
import { join } from "node:path";

/** Removes `path` and everything below it; a missing one is no error. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true, maxRetries: 2 });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "EACCES" && code !== "EPERM") throw error;
    await openUp(path);
    await rm(path, { recursive: true, force: true, maxRetries: 2 });
  }
}

/** Gives its owner every right on every directory. */
async function openUp(directory: string): Promise<void> {
  await chmod(directory, 0o700);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await openUp(join(directory, entry.name));
  }
}
