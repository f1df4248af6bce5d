/** Where a run's work starts: judged from the brief and what is on the remote. Pure. */
import type { Brief } from "../contract.ts";
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

type Wanted = { branch: string; base: string | null; mayPushDefault: boolean };

/** What of the brief matters here. `branch` is never null where there is a repository. */
export function wantedOf(brief: Brief, branch: string): Wanted {
  return { branch, base: brief.base_branch, mayPushDefault: brief.profile.may_push_default_branch };
}

/** @throws RunFailure (`checkout_failed`) with a sentence */
export function decideStart(wanted: Wanted, remote: RemoteState): StartingPoint {
  const { branch, base } = wanted;
  refuseDefaultBranch(wanted, remote.defaultBranch);
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
  if (remote.defaultBranch !== null && remote.branches.has(remote.defaultBranch)) {
    return { kind: "new_branch", from: remote.defaultBranch };
  }
  if (remote.headSha !== null) return { kind: "new_branch_from_head" };
  if (remote.branches.size === 0) return { kind: "empty" };
  throw failed("The remote has branches, but its HEAD names none of them: give the task a base branch");
}

/** @throws RunFailure (`checkout_failed`) where the task's branch is the default branch and its profile does not allow that */
export function refuseDefaultBranch(wanted: Wanted, defaultBranch: string | null): void {
  if (wanted.branch !== defaultBranch || wanted.mayPushDefault) return;
  throw failed(
    `"${wanted.branch}" is the default branch, and this task's profile may not push to it: name another branch, or none for a new one`,
  );
}

function failed(sentence: string): RunFailure {
  return new RunFailure("checkout_failed", `${sentence}.`);
}
