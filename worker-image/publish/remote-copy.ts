/** The work of a run as publish sees it, and the remote in a repository of our own. */
import { join } from "node:path";
import type { Brief, Report } from "../contract.ts";
import { fetchRemote, inPrivateRepository, isAncestor, makePrivateRepository, SHA } from "../git/private-repository.ts";
import { readRemoteAddress, type RemoteAddress } from "../git/remote-address.ts";
import { readRemoteState, type RemoteState } from "../git/remote-state.ts";
import { GitError, type GitContext, tryGit } from "../git/run-git.ts";
import { landingBranch, workBranch } from "../merge/branches.ts";
import { withPatience } from "../patience.ts";
import type { NamedSecret } from "../run-secrets.ts";

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

/** Whether the commit that an earlier attempt announced is on the task's branch, or where that led before it was removed. */
export async function wasPublished({ brief }: Work, copy: RemoteCopy, announced: Report): Promise<boolean> {
  const sha = announced.commit_sha;
  const branch = landingBranch(brief, copy.branch, copy.state);
  if (sha === null || !SHA.test(sha) || branch === null) return false;
  return isAncestor(copy.local, { ancestor: sha, of: remoteRef(branch) });
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
