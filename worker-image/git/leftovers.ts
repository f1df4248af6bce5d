/**
 * Commits what the agent left uncommitted, from publish's own repository with an index of its own: so
 * no filter, hook, file monitor or ignored-file list of the agent's takes part. The repository's
 * `.gitignore` and `.gitattributes` count as always, but attributes name no programs here.
 *
 * Links are kept as links. Repositories within the work tree are left out, submodules stay as they
 * are committed. The same files make the same commit however often this runs.
 */
import type { Stats } from "node:fs";
import { lstat, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { RunFailure } from "../run-failure.ts";
import { git, type GitContext } from "./run-git.ts";

export interface Leftovers {
  workTree: string;
  /** A file of ours; made anew. */
  index: string;
  /** The commit the work tree is compared with; null: none yet. */
  parent: string | null;
  /** Files that are missing were never checked out, rather than deleted. */
  sparse: boolean;
  message: string;
  author: string;
  /** Of the commit, epoch seconds. */
  date_seconds: number;
}

/** Larger files are no work of an agent, and most remotes refuse them. */
export const MAX_FILE_BYTES = 100 * 2 ** 20;
const MAX_TOTAL_BYTES = 2 ** 30;

/**
 * @returns the new commit; the parent where nothing was left
 * @throws RunFailure (`push_rejected`) where a file is too large or cannot be read; GitError
 */
export async function commitLeftovers(context: GitContext, leftovers: Leftovers): Promise<string | null> {
  const { workTree, index, parent } = leftovers;
  await rm(index, { force: true });
  const environment = { ...context.environment, GIT_WORK_TREE: workTree, GIT_INDEX_FILE: index };
  const inWorkTree: GitContext = { ...context, cwd: workTree, environment };
  await git(inWorkTree, ["read-tree", ...(parent === null ? ["--empty"] : [parent])]);

  const { present, missing } = await findChanges(inWorkTree, workTree);
  demandReasonableSize(present);
  const gone = leftovers.sparse ? [] : missing;
  if (gone.length > 0) await updateIndex(inWorkTree, ["--force-remove"], gone);
  if (present.length > 0)
    await updateIndex(
      inWorkTree,
      ["--add", "--replace"],
      present.map(({ path }) => path),
    );

  const tree = (await git(inWorkTree, ["write-tree"])).trim();
  const before = parent === null ? await emptyTree(context) : await treeOf(context, parent);
  return tree === before ? parent : commit(context, tree, leftovers);
}

interface ChangedFile {
  /** latin1, one character a byte. */
  path: string;
  stat: Stats;
}

/** The files to add and the paths to remove, as compared with the index. */
async function findChanges(
  context: GitContext,
  workTree: string,
): Promise<{ present: ChangedFile[]; missing: string[] }> {
  const listing = ["ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard"];
  const listed = split(await git(context, listing, { encoding: "latin1" }));
  const submodules = await submodulePaths(context);
  const directories = new Map<string, Promise<boolean>>();
  const present: ChangedFile[] = [];
  const missing: string[] = [];
  for (const path of new Set(listed)) {
    // A name that ends in a slash is a repository within the work tree.
    if (path.endsWith("/") || submodules.has(path)) continue;
    const reachable = await isInRealDirectory(workTree, path, directories);
    const stat = reachable ? await statOf(workTree, path) : null;
    if (stat === null) missing.push(path);
    else if (stat.isFile() || stat.isSymbolicLink()) present.push({ path, stat });
    // A directory or a device where a file was: the file is gone, what came instead is listed by itself.
    else missing.push(path);
  }
  return { present, missing };
}

/** Whether no directory above the path is a link. git looks through such links, and we must not. */
function isInRealDirectory(workTree: string, path: string, known: Map<string, Promise<boolean>>): Promise<boolean> {
  const above = dirname(path);
  if (above === ".") return Promise.resolve(true);
  let answer = known.get(above);
  if (answer === undefined) {
    answer = isInRealDirectory(workTree, above, known).then(
      async (real) => real && ((await statOf(workTree, above))?.isDirectory() ?? false),
    );
    known.set(above, answer);
  }
  return answer;
}

/** Null where nothing is. What cannot be looked at is there all the same: it must not be taken for deleted. */
async function statOf(workTree: string, path: string): Promise<Stats | null> {
  try {
    return await lstat(bytesOf(workTree, path));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    const name = Buffer.from(path, "latin1").toString("utf8").slice(0, 1000);
    throw new RunFailure(
      "push_rejected",
      `The agent left ${name} where it cannot be read (${code}), so nothing is pushed.`,
      { cause: error },
    );
  }
}

function demandReasonableSize(files: readonly ChangedFile[]): void {
  let total = 0;
  for (const { path, stat } of files) {
    if (!stat.isFile()) continue;
    total += stat.size;
    if (stat.size > MAX_FILE_BYTES) {
      const name = Buffer.from(path, "latin1").toString("utf8");
      throw new RunFailure(
        "push_rejected",
        `The agent left the file ${name} of ${mebibytes(stat.size)} MiB; files over ${mebibytes(MAX_FILE_BYTES)} MiB are not pushed.`,
      );
    }
  }
  if (total <= MAX_TOTAL_BYTES) return;
  throw new RunFailure(
    "push_rejected",
    `The agent left ${files.length} uncommitted files of ${mebibytes(total)} MiB in all; more than ${mebibytes(MAX_TOTAL_BYTES)} MiB are not pushed.`,
  );
}

async function submodulePaths(context: GitContext): Promise<ReadonlySet<string>> {
  const entries = split(await git(context, ["ls-files", "-z", "--stage"], { encoding: "latin1" }));
  return new Set(
    entries.filter((entry) => entry.startsWith("160000 ")).map((entry) => entry.slice(entry.indexOf("\t") + 1)),
  );
}

async function updateIndex(context: GitContext, options: string[], paths: readonly string[]): Promise<void> {
  const input = Buffer.from(paths.map((path) => `${path}\0`).join(""), "latin1");
  await git(context, ["update-index", ...options, "-z", "--stdin"], { input });
}

async function commit(context: GitContext, tree: string, { parent, message, author, date_seconds }: Leftovers) {
  const date = `@${date_seconds} +0000`;
  const identity = {
    GIT_AUTHOR_NAME: author,
    GIT_AUTHOR_EMAIL: AGENT_EMAIL,
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_NAME: author,
    GIT_COMMITTER_EMAIL: AGENT_EMAIL,
    GIT_COMMITTER_DATE: date,
  };
  const committing = { ...context, environment: { ...context.environment, ...identity } };
  const args = ["commit-tree", tree, ...(parent === null ? [] : ["-p", parent])];
  return (await git(committing, args, { input: message })).trim();
}

const AGENT_EMAIL = "agent@myzel.invalid";

async function treeOf(context: GitContext, commitSha: string): Promise<string> {
  return (await git(context, ["rev-parse", "--verify", `${commitSha}^{tree}`])).trim();
}

async function emptyTree(context: GitContext): Promise<string> {
  return (await git(context, ["hash-object", "-t", "tree", "--stdin"])).trim();
}

function split(listing: string): string[] {
  return listing.split("\0").filter((entry) => entry !== "");
}

function bytesOf(workTree: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(join(workTree, "/")), Buffer.from(path, "latin1")]);
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
