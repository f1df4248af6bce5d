/** Where a run's work starts: judged from the brief and what is on the remote. Pure. */
import type { Brief } from "../contract.ts";
import { isDirectMerge } from "../merge/branches.ts";
import { RunFailure } from "../run-failure.ts";
import type { RemoteState } from "./remote-state.ts";

export type StartingPoint =
  /** The task's branch is there: work goes on. */
  | { kind: "existing_branch"; from: string }
  /** A new branch from another one. */
  | { kind: "new_branch"; from: string }
  /** A new branch from a HEAD that is no branch. */
  | { kind: "new_branch_from_head" }
  /** Nothing is there yet. */
  | { kind: "empty" };

interface Wanted {
  branch: string;
  base: string | null;
  mayPushDefault: boolean;
  /** The project's default branch; null: the remote's. */
  defaultBranch: string | null;
  /** The branch that a merge brings into `branch`; null: it is no such merge. */
  merges: string | null;
}

/** What of the brief matters here. `branch` is never null where there is a repository. */
export function wantedOf(brief: Brief, branch: string): Wanted {
  const merges = isDirectMerge(brief);
  return {
    branch,
    base: brief.base_branch,
    mayPushDefault: merges || (brief.merge === null && brief.profile.may_push_default_branch),
    defaultBranch: brief.default_branch,
    merges: merges ? (brief.merge?.source ?? null) : null,
  };
}

/** @throws RunFailure (`checkout_failed`) with a sentence */
export function decideStart(wanted: Wanted, remote: RemoteState): StartingPoint {
  const { branch, base, merges } = wanted;
  const defaultBranch = wanted.defaultBranch ?? remote.defaultBranch;
  refuseDefaultBranch(wanted, remote.defaultBranch);
  if (merges !== null) demandBothSides(merges, branch, remote);
  if (remote.branches.has(branch)) return { kind: "existing_branch", from: branch };
  const inTheWay = [...remote.branches.keys()].find(
    (name) => name.startsWith(`${branch}/`) || branch.startsWith(`${name}/`),
  );
  if (inTheWay !== undefined) {
    throw failed(`The branch "${branch}" cannot be made, for git keeps no such name beside the branch "${inTheWay}"`);
  }
  if (base !== null) {
    if (remote.branches.has(base)) return { kind: "new_branch", from: base };
    throw failed(`The base branch "${base}" is not on the remote`);
  }
  if (defaultBranch !== null && remote.branches.has(defaultBranch)) {
    return { kind: "new_branch", from: defaultBranch };
  }
  if (wanted.defaultBranch !== null && remote.branches.size > 0) {
    throw failed(`The project's default branch "${wanted.defaultBranch}" is not on the remote`);
  }
  if (remote.headSha !== null) return { kind: "new_branch_from_head" };
  if (remote.branches.size === 0) return { kind: "empty" };
  throw failed("The remote has branches, but its HEAD names none of them: give the task a base branch");
}

function demandBothSides(source: string, target: string, remote: RemoteState): void {
  for (const [what, branch] of [
    ["branch to be merged", source],
    ["target of the merge", target],
  ] as const) {
    if (!remote.branches.has(branch)) throw failed(`The ${what}, "${branch}", is not on the remote`);
  }
  if (source === target) throw failed(`The branch "${source}" cannot be merged into itself`);
}

/**
 * The default branch is the remote's, and the project's where that is another one.
 * @throws RunFailure (`checkout_failed`) where the task's branch is the default branch and its profile does not allow that
 */
export function refuseDefaultBranch(wanted: Wanted, defaultBranch: string | null): void {
  const isDefault = wanted.branch === defaultBranch || wanted.branch === wanted.defaultBranch;
  if (!isDefault || wanted.mayPushDefault) return;
  throw failed(
    `"${wanted.branch}" is the default branch, and this task's profile may not push to it: name another branch, or none for a new one`,
  );
}

function failed(sentence: string): RunFailure {
  return new RunFailure("checkout_failed", `${sentence}.`);
}
