/**
 * Brings the agent's work to the remote: finds the commit, looks through what is new in it, announces
 * it, pushes it.
 *
 * Nothing is pushed that was not announced, so that an attempt after a lost report finds it; nothing
 * but the one commit to the one branch of the brief.
 */
import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { type Brief, type CheckoutRecord, type Report, WORKSPACE } from "../contract.ts";
import { isSparse } from "../git/agent-repository.ts";
import { commitLeftovers } from "../git/leftovers.ts";
import { changedFiles, demandCleanCommits } from "../git/new-commits.ts";
import {
  fetchAgentHead,
  fetchRemote,
  inPrivateRepository,
  isAncestor,
  isOnRemote,
  makePrivateRepository,
} from "../git/private-repository.ts";
import { movedMeanwhile, pushCommit } from "../git/push.ts";
import { readRemoteAddress, type RemoteAddress } from "../git/remote-address.ts";
import { readRemoteState, type RemoteState } from "../git/remote-state.ts";
import { GitError, type GitContext, tryGit } from "../git/run-git.ts";
import { refuseDefaultBranch, wantedOf } from "../git/starting-point.ts";
import { isDirectMerge, workBranch } from "../merge/branches.ts";
import { demandMerged } from "../merge/demand-merged.ts";
import { withPatience } from "../patience.ts";
import { RunFailure } from "../run-failure.ts";
import type { NamedSecret } from "../run-secrets.ts";
import { isRealDirectory, readSmallFile } from "../hostile-files.ts";

export interface Work {
  brief: Brief;
  /** The brief's, of which `branch` is not null. */
  repoUrl: string;
  branch: string;
  workspace: string;
  /** A directory that the agent never had access to. */
  privateDir: string;
  secrets: readonly NamedSecret[];
  mirror: string | null;
  /** Commits of history to fetch; null: all. */
  depth: number | null;
  /** A git that may talk to the remote, and one that may not. */
  remoteGit: (remote: RemoteAddress) => GitContext;
  localGit: GitContext;
  networkPatienceMs: number;
}

/** What of a report the remote decides. */
export type Published = Pick<Report, "branch" | "commit_sha" | "files_changed">;

/** The private repository after the remote was fetched into it. */
export interface RemoteCopy {
  remote: RemoteAddress;
  state: RemoteState;
  /** The one branch that this run may push: the brief's, or what its merge works on. */
  branch: string;
  /** With access to the remote, and without. */
  withRemote: GitContext;
  local: GitContext;
}

/**
 * Fetches the remote into a repository of our own.
 * @throws RunFailure, GitError
 */
export async function copyRemote(work: Work): Promise<RemoteCopy> {
  const remote = readRemoteAddress(work.repoUrl);
  const access = work.remoteGit(remote);
  const gitDir = join(work.privateDir, "repository.git");
  return patiently(work, async () => {
    const state = await readRemoteState(access, remote);
    await makePrivateRepository(work.localGit, { gitDir, remote: state, mirror: work.mirror });
    const withRemote = inPrivateRepository(access, gitDir);
    // Whether a branch is merged is seen in the whole history only.
    const depth = work.brief.merge === null ? work.depth : null;
    if (state.branches.size > 0) await fetchRemote(withRemote, remote, depth);
    const branch = workBranch(work.brief, state.defaultBranch) ?? work.branch;
    return { remote, state, branch, withRemote, local: inPrivateRepository(work.localGit, gitDir) };
  });
}

/** Whether the commit that an earlier attempt announced is on the task's branch. */
export async function wasPublished(copy: RemoteCopy, announced: Report | null): Promise<boolean> {
  const sha = announced?.commit_sha ?? null;
  if (sha === null || !/^[0-9a-f]{40,64}$/.test(sha)) return false;
  return isAncestor(copy.local, { ancestor: sha, of: remoteRef(copy.branch) });
}

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
  const target = copy.branch;
  const targetTip = await tipOf(copy, target);
  if (head === null || targetTip === null) {
    throw new RunFailure("push_rejected", `The branch "${target}" is no longer on the remote; nothing was merged.`);
  }
  const sourceTip = await tipOf(copy, merge.source);
  await demandMerged(copy.local, { source: merge.source, target, sourceTip, targetTip, head });
}

/** What the agent made, be it new or not, with what it left uncommitted as the last commit. @throws RunFailure, GitError */
export async function findHead(work: Work, copy: RemoteCopy): Promise<string | null> {
  const start = await startedFrom(work, copy);
  return findWork(work, copy, start ?? (await tipOf(copy, copy.branch)) ?? (await baseTip(work, copy)));
}

/** The agent's HEAD and what it left uncommitted, as one commit; where its repository cannot be read, all files on top of `base`. */
async function findWork(work: Work, copy: RemoteCopy, base: string | null): Promise<string | null> {
  const workTree = join(work.workspace, WORKSPACE.repo);
  if (!(await isRealDirectory(workTree))) {
    throw new RunFailure("push_rejected", "The agent removed its work tree, so there is nothing to push.");
  }
  const agentHead = await fetchAgentHead(copy.local, { workTree, view: join(work.privateDir, "view.git") });
  return commitLeftovers(copy.local, {
    workTree,
    index: join(work.privateDir, "index"),
    parent: agentHead ?? base,
    sparse: await isSparse(join(workTree, ".git")),
    message: `Keep what the agent left uncommitted\n\nMyzel-Task: ${work.brief.task_id}\n`,
    author: `Myzel agent ${work.brief.addressee}`.replace(/[\p{Cc}<>]/gu, " "),
    date_seconds: await endOfAgent(work.workspace),
  });
}

/** When the agent ended. Of a file that stays as it is, so that the same work makes the same commit. */
export async function endOfAgent(workspace: string): Promise<number> {
  const stat = await lstat(join(workspace, WORKSPACE.outcome)).catch(() => null);
  const now = Math.floor(Date.now() / 1000);
  return stat === null ? now : Math.min(now, Math.max(0, Math.floor(stat.mtimeMs / 1000)));
}

/** The commit that checkout noted, if it is one of the remote's: the note itself may be forged. */
export async function startedFrom(work: Work, copy: RemoteCopy): Promise<string | null> {
  const note = await readCheckoutRecord(work.workspace);
  const sha = note?.start_sha;
  return typeof sha === "string" && (await isOnRemote(copy.local, sha)) ? sha : null;
}

/** What checkout noted, as the agent left it; null where it cannot be read. */
export async function readCheckoutRecord(workspace: string): Promise<Partial<CheckoutRecord> | null> {
  const content = await readSmallFile(join(workspace, WORKSPACE.checkout), 65_536);
  try {
    return content === null ? null : (JSON.parse(content.toString("utf8")) as Partial<CheckoutRecord> | null);
  } catch {
    return null;
  }
}

/** The branch's commit on the remote; null where there is no such branch. */
export async function tipOf(copy: RemoteCopy, branch: string): Promise<string | null> {
  return commitOf(copy, remoteRef(branch));
}

async function commitOf(copy: RemoteCopy, name: string): Promise<string | null> {
  const end = await tryGit(copy.local, ["rev-parse", "--verify", "--quiet", `${name}^{commit}`]);
  return end.exitCode === 0 ? end.stdout.trim() : null;
}

/** Where a new branch would start today. */
export async function baseTip(work: Work, copy: RemoteCopy): Promise<string | null> {
  const name = work.brief.base_branch ?? work.brief.default_branch ?? copy.state.defaultBranch;
  const tip = name === null ? null : await tipOf(copy, name);
  return tip ?? (copy.state.headSha === null ? null : commitOf(copy, copy.state.headSha));
}

/** Where the histories of two commits part; null where they have nothing in common. */
export async function commonCommit(context: GitContext, one: string | null, other: string): Promise<string | null> {
  if (one === null) return null;
  const end = await tryGit(context, ["merge-base", one, other]);
  return end.exitCode === 0 ? end.stdout.trim() : null;
}

/** Tries again what failed for now, as long as the remote is waited for. */
export function patiently<T>(work: Work, step: () => Promise<T>): Promise<T> {
  const mayPass = (error: unknown): boolean => error instanceof GitError && error.failure.mayPass;
  return withPatience({ limitMs: work.networkPatienceMs, signal: work.localGit.signal, mayPass }, step);
}

function remoteRef(branch: string): string {
  return `refs/remotes/origin/${branch}`;
}

function rewritten(branch: string): string {
  return `The agent rewrote the history of "${branch}", which would overwrite commits on the remote; nothing was pushed.`;
}
