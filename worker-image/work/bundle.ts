/** Work that was not pushed, as a git bundle: made in publish's own repository, unpacked into the agent's new clone. */
import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { RunFailure } from "../run-failure.ts";
import { git, type GitContext, tryGit } from "../git/run-git.ts";

const MAX_BUNDLE_BYTES = 32 * 2 ** 20;

/** Objects of more bytes than this are not even tried to pack into a bundle. */
const MAX_UNPACKED_BYTES = 2 ** 30;

const MAX_COMMITS = 50;
const MAX_COMMITS_BYTES = 8 * 2 ** 10;

export interface KeptCommits {
  branch: string;
  /** Where they begin (a planner's: the commit that its plan began from); null: they have no beginning on the remote. */
  base_sha: string | null;
  head_sha: string;
  bundle: Buffer;
}

/**
 * The commits up to `head` that no branch of the remote has, as a bundle of one branch; null where there are none.
 * @param context of a repository whose `refs/remotes/origin` is the remote and that has no branch of its own
 * @param file a file of ours, made and removed
 * @throws RunFailure (`push_rejected`) where they are too large; GitError
 */
export async function bundleCommits(
  context: GitContext,
  { head, branch, file }: { head: string; branch: string; file: string },
): Promise<KeptCommits | null> {
  const range = [head, "--not", "--remotes=origin"];
  if ((await git(context, ["rev-list", "--count", ...range])).trim() === "0") return null;
  const size = Number(await git(context, ["rev-list", "--disk-usage", "--objects", ...range]));
  if (size > MAX_UNPACKED_BYTES) throw tooLarge(size);
  const base = (await git(context, ["rev-list", "--boundary", ...range]))
    .split("\n")
    .find((line) => line.startsWith("-"));
  await git(context, ["update-ref", `refs/heads/${branch}`, head]);
  try {
    const bundling = ["bundle", "create", "--quiet", file, `refs/heads/${branch}`, "--not", "--remotes=origin"];
    await git(context, bundling);
    const { size: bytes } = await stat(file);
    if (bytes > MAX_BUNDLE_BYTES) throw tooLarge(bytes);
    return { branch, base_sha: base?.slice(1) ?? null, head_sha: head, bundle: await readFile(file) };
  } finally {
    await rm(file, { force: true });
  }
}

/**
 * Brings the commits into a clone and stands its branch `branch` at them, files included.
 * @returns false where they cannot be had: what they begin with is not in the clone, or the bundle is broken
 * @throws GitError where the work tree cannot be written
 */
export async function unbundleCommits(
  context: GitContext,
  { bundle, head_sha, branch }: { bundle: Buffer; head_sha: string; branch: string },
  directory: string,
): Promise<boolean> {
  const file = join(directory, "kept-work.bundle");
  await writeFile(file, bundle, { mode: 0o600 });
  try {
    const fetching = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--update-shallow", "--", file];
    const end = await tryGit(context, ["-c", "fetch.fsckObjects=true", ...fetching, `+refs/heads/*:${KEPT_REFS}/*`]);
    if (end.exitCode !== 0) return false;
    const kept = await git(context, ["for-each-ref", "--format=%(objectname) %(refname)", KEPT_REFS]);
    const refs = kept.split("\n").flatMap((line) => (line === "" ? [] : [line.split(" ")]));
    if (!refs.some(([sha]) => sha === head_sha)) return false;
    // Over the plan that a planner's checkout has laid out.
    await git(context, ["checkout", "--quiet", "--force", "--no-track", "-B", branch, head_sha]);
    for (const [, name] of refs) await git(context, ["update-ref", "-d", name ?? ""]);
    return true;
  } finally {
    await rm(file, { force: true });
  }
}

const KEPT_REFS = "refs/myzel/kept";

/** The commits of HEAD that no branch of the remote has, one a line, the newest first, bounded. */
export async function listCommits(context: GitContext): Promise<string> {
  const options = ["--oneline", "--no-decorate", `--max-count=${MAX_COMMITS}`];
  const end = await tryGit(context, ["log", ...options, "HEAD", "--not", "--remotes=origin"]);
  return end.exitCode === 0 ? end.stdout.trim().slice(0, MAX_COMMITS_BYTES) : "";
}

function tooLarge(bytes: number): RunFailure {
  const limit = MAX_BUNDLE_BYTES / 2 ** 20;
  return new RunFailure(
    "push_rejected",
    `What was not pushed has ${Math.ceil(bytes / 2 ** 20)} MiB; at most ${limit} MiB are kept.`,
  );
}
