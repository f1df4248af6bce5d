/**
 * Locks that the kernel lets go of, however their holder ends: flock(2) on a file. Node does not offer it,
 * but flock(1) of util-linux locks a descriptor that it is handed; the lock then belongs to the open file
 * and lasts until every process that inherited the descriptor has closed it or is gone. No pid is guessed
 * at, and other containers over the same directory are kept out too.
 */
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { DatabaseError } from "./database-error.ts";

export interface FileLock {
  /** A child that is given this descriptor holds the lock too. */
  readonly fd: number;
  release(): void;
}

/**
 * Locks the file, which is made where it is missing; null where somebody else holds it.
 * @throws DatabaseError where flock(1) is missing
 */
export async function tryLock(path: string): Promise<FileLock | null> {
  // A plain descriptor: a FileHandle that nobody refers to any more would be closed, and the lock lost.
  // Not truncated: the file may name its holder.
  const fd = openSync(path, "a+", 0o600);
  let locked = false;
  try {
    locked = await lockDescriptor(fd);
  } finally {
    if (!locked) closeSync(fd);
  }
  return locked ? { fd, release: () => closeSync(fd) } : null;
}

function lockDescriptor(fd: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = spawn("flock", ["-n", "3"], { stdio: ["ignore", "ignore", "ignore", fd] });
    child.once("error", (cause) =>
      reject(new DatabaseError("the program flock (package util-linux) is missing: install it", { cause })),
    );
    child.once("exit", (code) => resolve(code === 0));
  });
}
