/**
 * A bare mirror of each repository, from which the next clone borrows its objects.
 *
 * Filled from the fresh clone, after checkout and before the agent starts, so that no agent ever has a
 * hand in it; its objects are copies, never links, for the agent may rewrite its own. Best effort: a
 * run does not fail for want of a mirror.
 */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { chmodSync, chownSync, existsSync, mkdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { withoutLogin } from "./git-remote.ts";
import { removeTree } from "./remove-tree.ts";

/** A repository that takes longer is not worth making its agent wait. */
const TIMEOUT_MS = 60_000;

/**
 * Each run leaves a few objects or a pack, and git grows slow with thousands. git packs them anew where there are too many,
 * one at a time and behind our back; nothing is thrown away, for somebody may be borrowing it.
 */
const PACKING = ["gc.auto=6700", "gc.autoPackLimit=50", "gc.autoDetach=true", "gc.pruneExpire=never"].flatMap(
  (setting) => ["-c", setting],
);

/** Where the mirror of a repository lies. */
export function mirrorPath(dataDir: string, repoUrl: string): string {
  return join(dataDir, "mirrors", `${mirrorName(repoUrl)}.git`);
}

/** A name for a repository's mirror: the same for every login in its address. */
export function mirrorName(repoUrl: string): string {
  return createHash("sha256").update(withoutLogin(repoUrl)).digest("hex").slice(0, 32);
}

/**
 * Brings the mirror up to what the clone has. Nothing else may be at work in the clone.
 * @returns a sentence where it failed; null when it is done
 */
export async function fillMirror(
  mirror: { path: string; gid: number | null },
  clone: string,
  signal: AbortSignal,
): Promise<string | null> {
  if (!existsSync(join(clone, ".git"))) return null;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  try {
    if (!existsSync(mirror.path)) await makeMirror(mirror, clone, limit);
    // No pruning: somebody may be borrowing.
    await git(
      ["-C", mirror.path, "fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"],
      [clone, "+refs/heads/*:refs/heads/*", "+refs/remotes/*:refs/remotes/*", "+refs/tags/*:refs/tags/*"],
      limit,
    );
    await git(["-C", mirror.path, ...PACKING, "gc", "--auto", "--quiet"], [], limit);
    return null;
  } catch (error) {
    return `the mirror was not filled: ${(error as Error).message}`;
  }
}

/** The first time: copies the objects as they are, which is much cheaper than a fetch. */
async function makeMirror(mirror: { path: string; gid: number | null }, clone: string, signal: AbortSignal) {
  const fresh = `${mirror.path}.${randomBytes(6).toString("hex")}.new`;
  mkdirSync(dirname(mirror.path), { recursive: true });
  try {
    await git(["clone", "--quiet", "--bare", "--no-hardlinks"], [clone, fresh], signal);
    chmodSync(fresh, mirror.gid === null ? 0o700 : 0o750);
    if (mirror.gid !== null) chownSync(fresh, process.getuid?.() ?? 0, mirror.gid);
    renameSync(fresh, mirror.path);
  } catch (error) {
    await removeTree(fresh);
    // Another run was faster: its mirror serves as well.
    if (!existsSync(mirror.path)) throw error;
  }
}

/** Git without hooks, without anybody's configuration, and free to read what the run's user owns. */
function git(command: readonly string[], operands: readonly string[], signal: AbortSignal): Promise<void> {
  const settings = ["core.hooksPath=/dev/null", "gc.auto=0", "maintenance.auto=false", "protocol.file.allow=always"];
  // Passed through the environment, for git drops `-c` settings where it starts the other side of a local fetch.
  const safe = { GIT_CONFIG_NOSYSTEM: "1", GIT_CONFIG_GLOBAL: join(import.meta.dirname, "mirror.gitconfig") };
  return new Promise((resolve, reject) => {
    const child = spawn("git", [...settings.flatMap((setting) => ["-c", setting]), ...command, "--", ...operands], {
      cwd: "/",
      env: { PATH: process.env["PATH"], LANG: "C.UTF-8", ...safe },
      stdio: ["ignore", "ignore", "pipe"],
      signal,
      killSignal: "SIGKILL",
    });
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-1000)));
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve() : reject(new Error(said.trim() || `git exited with ${code}`))));
  });
}
