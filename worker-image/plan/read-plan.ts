/** Reads the plan out of a commit. */
import { git, type GitContext } from "../git/run-git.ts";
import { RunFailure } from "../run-failure.ts";
import { PLAN_DIRECTORY, PLAN_FILE } from "./sections.ts";

/** Of the whole plan, all epics together. */
export const MAX_PLAN_BYTES = 16 * 2 ** 20;

/**
 * The plan in a commit, as latin1; "" where it has none.
 * @param name the branch, for the sentence
 * @throws RunFailure (`checkout_failed`) where something else lies in its place; GitError
 */
export async function readPlan(context: GitContext, commit: string, name: string): Promise<string> {
  const directory = await entryOf(context, commit, PLAN_DIRECTORY);
  if (directory === null) return "";
  if (directory.type !== "tree") throw inTheWay(PLAN_DIRECTORY, "directory", name);
  const file = await entryOf(context, commit, PLAN_FILE);
  if (file === null) return "";
  if (file.type !== "blob" || file.mode === "120000") throw inTheWay(PLAN_FILE, "regular file", name);
  const size = Number(await git(context, ["cat-file", "-s", file.sha]));
  if (size > MAX_PLAN_BYTES) {
    throw new RunFailure(
      "checkout_failed",
      `${PLAN_FILE} on "${name}" is larger than ${MAX_PLAN_BYTES / 2 ** 20} MiB: take the sections of ended epics out of it.`,
    );
  }
  return git(context, ["cat-file", "blob", file.sha], { encoding: "latin1" });
}

interface Entry {
  mode: string;
  type: string;
  sha: string;
}

async function entryOf(context: GitContext, commit: string, path: string): Promise<Entry | null> {
  const line = await git(context, ["ls-tree", "--full-tree", "-z", commit, "--", path]);
  const [mode, type, sha] = (line.split("\t")[0] ?? "").split(" ");
  return mode === undefined || type === undefined || sha === undefined ? null : { mode, type, sha };
}

function inTheWay(path: string, kind: string, branch: string): RunFailure {
  return new RunFailure(
    "checkout_failed",
    `${path} on "${branch}" is no ${kind}, so there is no place for the plan: remove it from the branch.`,
  );
}
