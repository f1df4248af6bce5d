/**
 * Makes the agent's clone: whole history (or shallow, by setting), never partial, the task's branch
 * checked out. What is left behind holds no login, no address to push to and no hook.
 */
import { join } from "node:path";
import { refuseDefaultBranch, type StartingPoint, type wantedOf } from "./starting-point.ts";
import type { RemoteAddress } from "./remote-address.ts";
import { git, tryGit, type GitContext } from "./run-git.ts";

export interface CloneRequest {
  remote: RemoteAddress;
  /** An empty or absent directory. */
  target: string;
  wanted: ReturnType<typeof wantedOf>;
  start: StartingPoint;
  /** A bare repository whose objects are borrowed while cloning, and copied. */
  mirror: string | null;
  /** Commits of history; null: all. */
  depth: number | null;
}

/**
 * Clones and checks out. Submodules and LFS files are not fetched: both need a login later on.
 * @returns the commit that the branch starts from; null in an empty repository
 * @throws GitError, RunFailure
 */
export async function cloneRepository(context: GitContext, request: CloneRequest): Promise<string | null> {
  const { remote, target, wanted, start } = request;
  await git(context, ["clone", ...cloneOptions(request), "--", remote.url, target]);
  const repository = inRepository(context, target);
  if (start.kind === "empty") {
    const unborn = (await tryGit(repository, ["symbolic-ref", "--short", "HEAD"])).stdout.trim();
    refuseDefaultBranch(wanted, unborn);
    await git(repository, ["symbolic-ref", "HEAD", `refs/heads/${wanted.branch}`]);
  } else {
    const from = start.kind === "new_branch_from_head" ? "HEAD" : `refs/remotes/origin/${start.from}`;
    await git(repository, ["checkout", "--quiet", "--no-track", "-B", wanted.branch, from]);
  }
  await forgetRemote(repository);
  return start.kind === "empty" ? null : (await git(repository, ["rev-parse", "HEAD"])).trim();
}

/** Whether the commit is part of the branch as it is on the remote. */
export async function isOnRemoteBranch(
  context: GitContext,
  clone: string,
  { sha, branch }: { sha: string; branch: string },
): Promise<boolean> {
  if (!/^[0-9a-f]{40,64}$/.test(sha)) return false;
  const args = ["merge-base", "--is-ancestor", sha, `refs/remotes/origin/${branch}`];
  return (await tryGit(inRepository(context, clone), args)).exitCode === 0;
}

function cloneOptions({ mirror, depth, start }: CloneRequest): string[] {
  return [
    "--quiet",
    "--no-checkout",
    // Through the transport, so that nothing is linked and git's checks of foreign repositories apply.
    "--no-local",
    "--template=",
    "--origin=origin",
    ...(mirror === null ? [] : [`--reference-if-able=${mirror}`, "--dissociate"]),
    ...(depth === null ? [] : [`--depth=${depth}`]),
    ...(depth !== null && "from" in start ? [`--branch=${start.from}`] : []),
  ];
}

/** The branches of the remote stay to compare with; its address goes, for the agent has no login to use it with. */
async function forgetRemote(repository: GitContext): Promise<void> {
  const names = (await tryGit(repository, ["config", "--local", "--name-only", "--list"])).stdout.split("\n");
  const sections = names
    .filter((name) => /^(remote|branch)\./.test(name))
    .map((name) => name.slice(0, name.lastIndexOf(".")));
  for (const section of new Set(sections)) await git(repository, ["config", "--local", "--remove-section", section]);
}

function inRepository(context: GitContext, clone: string): GitContext {
  const environment = { ...context.environment, GIT_DIR: join(clone, ".git"), GIT_WORK_TREE: clone };
  return { ...context, cwd: clone, environment };
}
