/** Which branches a task works with, a merge's included. Pure. */
import type { Brief } from "../contract.ts";
import type { RemoteState } from "../git/remote-state.ts";
import { isPlanner } from "../plan/planner.ts";

/** A merge whose Red pushes the target branch itself; other merges are made by the repository's host. */
export function isDirectMerge(brief: Pick<Brief, "merge">): boolean {
  return brief.merge !== null && brief.merge.policy !== "pull_request";
}

/** The branch that the work tree is on (but for a planner) and that is pushed; null where there is none. */
export function workBranch(brief: Brief, remoteDefault: string | null): string | null {
  if (isPlanner(brief)) return brief.epic.plan_branch;
  if (brief.merge === null) return brief.branch;
  return isDirectMerge(brief) ? targetBranch(brief, remoteDefault) : brief.merge.source;
}

/** Where a merge or a pull request leads to. */
export function targetBranch(brief: Brief, remoteDefault: string | null): string | null {
  if (brief.merge !== null) return brief.merge.target ?? remoteDefault;
  return brief.base_branch ?? brief.default_branch ?? remoteDefault;
}

/** Where what was pushed to the work branch is to be found: on it, or, once somebody has removed it, where it leads. */
export function landingBranch(brief: Brief, branch: string, remote: RemoteState): string | null {
  return remote.branches.has(branch) ? branch : targetBranch(brief, remote.defaultBranch);
}
