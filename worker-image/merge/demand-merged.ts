/** Whether a merge is one: the source is in it, and no conflict was left. */
import { type GitContext, git, tryGit } from "../git/run-git.ts";
import { isAncestor } from "../git/private-repository.ts";
import { RunFailure } from "../run-failure.ts";

export interface MadeMerge {
  source: string;
  target: string;
  /** The source's commit on the remote; null where the branch is gone. */
  sourceTip: string | null;
  /** The target's commit on the remote. */
  targetTip: string;
  /** What is to be the target from now on. */
  head: string;
}

/** Paths in one call of git; a command line has its limits. */
const PATHS_AT_ONCE = 500;
const MAX_NAMED = 5;

/** @throws RunFailure (`push_rejected`) with a sentence where it is none; GitError */
export async function demandMerged(context: GitContext, made: MadeMerge): Promise<void> {
  const { source, target, sourceTip, targetTip, head } = made;
  if (sourceTip === null) {
    throw rejected(`The branch "${source}" is no longer on the remote, so nothing was merged into "${target}".`);
  }
  const contained =
    (await isAncestor(context, { ancestor: sourceTip, of: head })) || (await addsNothing(context, sourceTip, head));
  if (!contained) {
    throw rejected(
      `The branch "${source}" was not merged into "${target}", or has moved meanwhile: its commit ${sourceTip.slice(0, 12)} is not in the agent's work. Nothing was pushed.`,
    );
  }
  const open = await filesWithMarkers(context, { sides: [targetTip, sourceTip], head });
  if (open.length === 0) return;
  const named = open.slice(0, MAX_NAMED).join(", ");
  const more = open.length > MAX_NAMED ? ` and ${open.length - MAX_NAMED} more` : "";
  throw rejected(`The merge leaves conflict markers in ${named}${more}; nothing was pushed.`);
}

/** Whether a merge of it would change nothing: its changes are there already, by a squash for example. */
async function addsNothing(context: GitContext, source: string, head: string): Promise<boolean> {
  const end = await tryGit(context, ["merge-tree", "--write-tree", head, source]);
  return end.exitCode === 0 && end.stdout.trim() === (await git(context, ["rev-parse", `${head}^{tree}`])).trim();
}

/** The files that are as on neither side and hold both ends of a conflict. */
async function filesWithMarkers(context: GitContext, { sides, head }: { sides: string[]; head: string }) {
  const [ofTarget, ofSource] = await Promise.all(sides.map((side) => changedPaths(context, side, head)));
  const merged = [...(ofTarget ?? [])].filter((path) => ofSource?.has(path));
  const found: string[] = [];
  for (let at = 0; at < merged.length; at += PATHS_AT_ONCE) {
    const paths = merged.slice(at, at + PATHS_AT_ONCE);
    const grep = ["--literal-pathspecs", "grep", "-z", "-I", "--name-only", "--all-match"];
    const end = await tryGit(context, [...grep, "-e", "^<<<<<<< ", "-e", "^>>>>>>> ", head, "--", ...paths]);
    // 1: not found.
    found.push(...end.stdout.split("\0").flatMap((entry) => (entry === "" ? [] : [entry.slice(head.length + 1)])));
  }
  return found;
}

async function changedPaths(context: GitContext, from: string, to: string): Promise<Set<string>> {
  const listed = await git(context, [
    "diff-tree",
    "-r",
    "-z",
    "--name-only",
    "--no-renames",
    "--diff-filter=d",
    from,
    to,
  ]);
  return new Set(listed.split("\0").filter((path) => path !== ""));
}

function rejected(sentence: string): RunFailure {
  return new RunFailure("push_rejected", sentence);
}
