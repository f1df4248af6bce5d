/**
 * The key that run tokens are made with. All engines of a database need the same one, so that a
 * successor makes the same tokens; it lies in the data directory and nowhere else.
 */
import { randomBytes } from "node:crypto";
import { existsSync, linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { prepareDataDirectory, UnusableDataDirectoryError } from "./data-directory.ts";

const KEY_BYTES = 32;

/**
 * The stored key (mode 0600), made where there is none. Engines that start at once get the same one.
 * @throws UnusableDataDirectoryError where the file holds anything else than 32 bytes
 */
export function loadRunKey(dataDir: string): Buffer {
  prepareDataDirectory(dataDir);
  const path = join(dataDir, "run-key");
  if (!existsSync(path)) makeOnce(path);
  const key = readFileSync(path);
  if (key.length === KEY_BYTES) return key;
  throw new UnusableDataDirectoryError(
    `${path} does not hold ${KEY_BYTES} bytes: restore it, or remove it (live runs are then lost, see engine_state.key_hash)`,
  );
}

/** Written whole under a name of its own, then linked: whoever comes second finds the first one's. */
function makeOnce(path: string): void {
  const partial = `${path}.${randomBytes(6).toString("hex")}.new`;
  try {
    writeFileSync(partial, randomBytes(KEY_BYTES), { mode: 0o600, flag: "wx", flush: true });
    linkSync(partial, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    rmSync(partial, { force: true });
  }
}
