/** The directory that holds everything of this machine: private, but passable where runs get users of their own. */
import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** A data directory that cannot be made or used: one sentence that says what to do. */
export class UnusableDataDirectoryError extends Error {
  override name = "UnusableDataDirectoryError";
}

/**
 * Where everything of this user lies unless `MYZEL_DATA_DIR` says otherwise.
 * @throws UnusableDataDirectoryError for a user that the system does not know, as in some containers, and that has no HOME
 */
export function defaultDataDir(environment: NodeJS.ProcessEnv): string {
  if (process.getuid?.() === 0) return "/var/lib/myzel";
  return join(environment["XDG_DATA_HOME"] || join(homeDirectory(environment), ".local", "share"), "myzel");
}

function homeDirectory(environment: NodeJS.ProcessEnv): string {
  try {
    return environment["HOME"] || homedir();
  } catch (cause) {
    const sentence = "MYZEL_DATA_DIR: your user has no home directory; set it to a directory for Myzel's data";
    throw new UnusableDataDirectoryError(sentence, { cause });
  }
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
