/** Whether a file can be reached by users that are neither its owner nor in its group: mode bits only, all along the path. */
import { readdirSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

/** Everybody may pass every directory above `path`. */
export function othersMayPass(path: string): boolean {
  for (let at = dirname(path); ; at = dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false;
    if (at === dirname(at)) return true;
  }
}

/** Everybody may run this program, by its real path. */
export function othersMayRun(program: string): boolean {
  const real = realpathSync(program);
  return othersMayPass(real) && (statSync(real).mode & 0o005) === 0o005;
}

/** Everybody may read everything below this directory, but for what `skip` names. */
export function othersMayRead(directory: string, skip: readonly string[] = []): boolean {
  const real = realpathSync(directory);
  return othersMayPass(real) && treeIsOpen(real, skip);
}

function treeIsOpen(path: string, skip: readonly string[]): boolean {
  const stat = statSync(path);
  if (!stat.isDirectory()) return (stat.mode & 0o004) !== 0;
  if ((stat.mode & 0o005) !== 0o005) return false;
  return readdirSync(path).every((name) => skip.includes(name) || treeIsOpen(join(path, name), skip));
}
