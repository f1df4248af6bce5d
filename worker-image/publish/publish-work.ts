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
    if (state.branches.size > 0) await fetchRemote(withRemote, remote, work.depth);
    return { remote, state, withRemote, local: inPrivateRepository(work.localGit, gitDir) };
  });
}

/** Whether the commit that an earlier attempt announced is on the task's branch. */
export async function wasPublished(copy: RemoteCopy, announced: Report | null, branch: string): Promise<boolean> {
  const sha = announced?.commit_sha ?? null;
  if (sha === null || !/^[0-9a-f]{40,64}$/.test(sha)) return false;
  return isAncestor(copy.local, { ancestor: sha, of: remoteRef(branch) });
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
  const { branch } = work;
  refuseDefaultBranch(wantedOf(work.brief, branch), copy.state.defaultBranch);
  const tip = await tipOf(copy, branch);
  const started = await startedFrom(work, copy);
  const head = await findWork(work, copy, started ?? tip ?? (await baseTip(work, copy)));

  const nothing: Published = { branch, commit_sha: null, files_changed: [] };
  if (head === null) return nothing;
  const comparedWith = tip ?? (await baseTip(work, copy));
  if (head === tip) {
    // Either nobody did anything, or this very commit was pushed before and its report was lost.
    if (started === null || started === head) return nothing;
    return { branch, commit_sha: head, files_changed: await changedFiles(copy.local, { from: started, to: head }) };
  }
  if (comparedWith !== null && (await isAncestor(copy.local, { ancestor: head, of: comparedWith }))) return nothing;
  if (tip !== null && !(await isAncestor(copy.local, { ancestor: tip, of: head }))) {
    throw new RunFailure("push_rejected", tip === started ? rewritten(branch) : movedMeanwhile(branch));
  }
  await demandCleanCommits(copy.local, { head, secrets: work.secrets });
  const from = await commonCommit(copy.local, comparedWith, head);
  const published = { branch, commit_sha: head, files_changed: await changedFiles(copy.local, { from, to: head }) };
  await announce(published);
  await patiently(work, () => pushCommit(copy.withRemote, { remote: copy.remote, sha: head, branch }));
  return published;
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
async function endOfAgent(workspace: string): Promise<number> {
  const stat = await lstat(join(workspace, WORKSPACE.outcome)).catch(() => null);
  const now = Math.floor(Date.now() / 1000);
  return stat === null ? now : Math.min(now, Math.max(0, Math.floor(stat.mtimeMs / 1000)));
}

/** The commit that checkout noted, if it is one of the remote's: the note itself may be forged. */
async function startedFrom(work: Work, copy: RemoteCopy): Promise<string | null> {
  const note = await readCheckoutRecord(work.workspace);
  const sha = note?.start_sha;
  return typeof sha === "string" && (await isOnRemote(copy.local, sha)) ? sha : null;
}

async function readCheckoutRecord(workspace: string): Promise<Partial<CheckoutRecord> | null> {
  const content = await readSmallFile(join(workspace, WORKSPACE.checkout), 65_536);
  try {
    return content === null ? null : (JSON.parse(content.toString("utf8")) as Partial<CheckoutRecord> | null);
  } catch {
    return null;
  }
}

async function tipOf(copy: RemoteCopy, branch: string): Promise<string | null> {
  return commitOf(copy, remoteRef(branch));
}

async function commitOf(copy: RemoteCopy, name: string): Promise<string | null> {
  const end = await tryGit(copy.local, ["rev-parse", "--verify", "--quiet", `${name}^{commit}`]);
  return end.exitCode === 0 ? end.stdout.trim() : null;
}

/** Where a new branch would start today. */
async function baseTip(work: Work, copy: RemoteCopy): Promise<string | null> {
  const name = work.brief.base_branch ?? copy.state.defaultBranch;
  const tip = name === null ? null : await tipOf(copy, name);
  return tip ?? (copy.state.headSha === null ? null : commitOf(copy, copy.state.headSha));
}

async function commonCommit(context: GitContext, one: string | null, other: string): Promise<string | null> {
  if (one === null) return null;
  const end = await tryGit(context, ["merge-base", one, other]);
  return end.exitCode === 0 ? end.stdout.trim() : null;
}

function patiently<T>(work: Work, step: () => Promise<T>): Promise<T> {
  const mayPass = (error: unknown): boolean => error instanceof GitError && error.failure.mayPass;
  return withPatience({ limitMs: work.networkPatienceMs, signal: work.localGit.signal, mayPass }, step);
}

function remoteRef(branch: string): string {
  return `refs/remotes/origin/${branch}`;
}

function rewritten(branch: string): string {
  return `The agent rewrote the history of "${branch}", which would overwrite commits on the remote; nothing was pushed.`;
}
