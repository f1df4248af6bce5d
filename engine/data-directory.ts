/** The directory that holds everything of this machine: private, but passable where runs get users of their own. */
import { mkdirSync } from "node:fs";

/** A data directory that cannot be made or used: one sentence that says what to do. */
export class UnusableDataDirectoryError extends Error {
  override name = "UnusableDataDirectoryError";
}

/**
 * Makes it where it is missing. Root's may be passed through, not listed: runs have users of their own there.
 * @throws UnusableDataDirectoryError
 */
export function prepareDataDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 });
  } catch (cause) {
    throw new UnusableDataDirectoryError(
      `the data directory cannot be made (${(cause as Error).message}): set MYZEL_DATA_DIR to another place`,
      { cause },
    );
  }
}
