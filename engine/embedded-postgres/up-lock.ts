/** One `up` for each data directory at a time. */
import { ftruncateSync, writeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { prepareDataDir } from "./cluster-files.ts";
import { DatabaseError } from "./database-error.ts";
import { tryLock } from "./file-lock.ts";
import { serverUser } from "./server-user.ts";

/**
 * Takes the directory for this process; it is free again when the process ends, however it ends. Makes the
 * directory where it is missing.
 * @throws DatabaseError where another `up` has it, naming its process
 */
export async function holdUpLock(dataDir: string): Promise<{ release(): Promise<void> }> {
  await prepareDataDir(dataDir, await serverUser());
  const path = join(dataDir, "up.lock");
  const lock = await tryLock(path);
  if (lock === null) {
    const pid = (await readFile(path, "utf8").catch(() => "")).trim();
    throw new DatabaseError(
      `myzel is up already with the data directory ${dataDir}${pid && ` (process ${pid})`}: ` +
        "use that one, end it with Ctrl-C, or set MYZEL_DATA_DIR to another directory",
    );
  }
  ftruncateSync(lock.fd);
  writeSync(lock.fd, `${process.pid}\n`);
  return { release: async () => lock.release() };
}
