/**
 * Brings the agent's work to the remote: finds the commit, looks through what is new in it, announces
 * it, pushes it.
 *
 * Nothing is pushed that was not announced, so that an attempt after a lost report finds it; nothing
 * but the one commit to the one branch of the brief.
 */
import type { Report } from "../contract.ts";
import { changedFiles, demandCleanCommits } from "../git/new-commits.ts";
import { isAncestor } from "../git/private-repository.ts";
import { movedMeanwhile, pushCommit } from "../git/push.ts";
import { refuseDefaultBranch, wantedOf } from "../git/starting-point.ts";
import { isDirectMerge } from "../merge/branches.ts";
import { demandApproval } from "../merge/demand-approval.ts";
import { demandMerged } from "../merge/demand-merged.ts";
import { RunFailure } from "../run-failure.ts";
import { findHead, startedFrom } from "./agent-work.ts";
import { baseTip, commonCommit, patiently, type RemoteCopy, tipOf, type Work } from "./remote-copy.ts";

/** What of a report the remote decides. */
export type Published = Pick<Report, "branch" | "commit_sha" | "files_changed">;

/**
 * Pushes the agent's work, where there is any.
 * @param announce stores what is about to be on the remote; called once, right before the push
 * @throws RunFailure (`push_rejected`, `secret_leaked`, …), GitError
 */
export async function publishWork(
  work: Work,
  copy: RemoteCopy,
  announce: (published: Published) => Promise<void>,
): Promise<Published> {
  const { branch } = copy;
  refuseDefaultBranch(wantedOf(work.brief, branch), copy.state.defaultBranch);
  const tip = await tipOf(copy, branch);
  const started = await startedFrom(work, copy);
  const comparedWith = tip ?? (await baseTip(work, copy));
  const head = await findHead(work, copy);
  const isNew = head !== null && !(await isPartOf(copy, head, comparedWith));
  if (isNew && tip !== null && !(await isAncestor(copy.local, { ancestor: tip, of: head }))) {
    throw new RunFailure("push_rejected", tip === started ? rewritten(branch) : movedMeanwhile(branch));
  }
  await demandTheMerge(work, copy, isNew ? head : tip);
  if (!isNew) {
    // Either nobody did anything, or this very commit was pushed before and its report was lost.
    const again = head !== null && head === tip && started !== null && started !== head;
    const files = again ? await changedFiles(copy.local, { from: started, to: head }) : [];
    return { branch, commit_sha: again ? head : null, files_changed: files };
  }
  await demandCleanCommits(copy.local, { head, secrets: work.secrets });
  const from = await commonCommit(copy.local, comparedWith, head);
  const published = { branch, commit_sha: head, files_changed: await changedFiles(copy.local, { from, to: head }) };
  await announce(published);
  await patiently(work, () => pushCommit(copy.withRemote, { remote: copy.remote, sha: head, branch }));
  return published;
}

/** Whether the remote has the commit already. */
async function isPartOf(copy: RemoteCopy, head: string, tip: string | null): Promise<boolean> {
  return tip !== null && (head === tip || (await isAncestor(copy.local, { ancestor: head, of: tip })));
}

/** Nothing but the merge itself makes a direct merge a success. */
async function demandTheMerge(work: Work, copy: RemoteCopy, head: string | null): Promise<void> {
  const { merge } = work.brief;
  if (merge === null || !isDirectMerge(work.brief)) return;
  demandApproval(work.brief);
  const target = copy.branch;
  const targetTip = await tipOf(copy, target);
  if (head === null || targetTip === null) {
    throw new RunFailure("push_rejected", `The branch "${target}" is no longer on the remote; nothing was merged.`);
  }
  const sourceTip = await tipOf(copy, merge.source);
  await demandMerged(copy.local, { source: merge.source, target, sourceTip, targetTip, head });
}

function rewritten(branch: string): string {
  return `The agent rewrote the history of "${branch}", which would overwrite commits on the remote; nothing was pushed.`;
}
