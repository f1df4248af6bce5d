/**
 * Which repository and base a new task gets, and what to tell the person: work that is not pushed is
 * work that the agent does not see.
 */
import { readGitCheckout } from "../git-checkout.ts";
import type { GitCheckout } from "../git-checkout.ts";
import { UsageError } from "./failure.ts";

export interface Asked {
  directory: string;
  /** A URL; false: none; undefined: the checkout's. */
  repo: string | false | undefined;
  branch: string | undefined;
  base: string | undefined;
}

export interface Chosen {
  repoUrl: string | undefined;
  base: string | undefined;
  remarks: string[];
}

/** @throws UsageError where a checkout has no origin, or where a branch is named without a repository */
export async function chooseRepository(asked: Asked): Promise<Chosen> {
  if (asked.repo === false) {
    if (asked.branch !== undefined || asked.base !== undefined) {
      throw new UsageError("--branch and --base need a repository: leave out --no-repo.");
    }
    return { repoUrl: undefined, base: undefined, remarks: [] };
  }
  if (asked.repo !== undefined) return { repoUrl: asked.repo, base: asked.base, remarks: [] };
  const checkout = await readGitCheckout(asked.directory);
  if (checkout !== null) return ofCheckout(checkout, asked);
  if (asked.branch !== undefined || asked.base !== undefined) {
    throw new UsageError("--branch and --base need a repository: name one with --repo, or go into a checkout of it.");
  }
  const remark =
    "Note: you are in no git checkout, so the task works in an empty directory; --repo names a repository.";
  return { repoUrl: undefined, base: undefined, remarks: [remark] };
}

/**
 * The repository of a project or an epic: the one that is named, else the checkout's; undefined outside of one. Epics
 * start at the default branch, so the branch you are on says nothing.
 * @throws UsageError where a checkout has no origin
 */
export async function chooseProjectRepository(asked: {
  directory: string;
  repo: string | undefined;
}): Promise<{ repoUrl: string | undefined; remarks: string[] }> {
  if (asked.repo !== undefined) return { repoUrl: asked.repo, remarks: [] };
  const checkout = await readGitCheckout(asked.directory);
  if (checkout === null) return { repoUrl: undefined, remarks: [] };
  if (checkout.repoUrl === null) {
    throw new UsageError(`The checkout in ${checkout.root} has no remote "origin": name the repository with --repo.`);
  }
  return { repoUrl: checkout.repoUrl, remarks: [...loginRemark(checkout), ...unpushedRemarks(checkout)] };
}

function ofCheckout(checkout: GitCheckout, asked: Asked): Chosen {
  if (checkout.repoUrl === null) {
    throw new UsageError(
      `The checkout in ${checkout.root} has no remote "origin": name the repository with --repo, or say --no-repo.`,
    );
  }
  return {
    repoUrl: checkout.repoUrl,
    base: asked.base ?? checkout.remoteBranch ?? undefined,
    remarks: [...loginRemark(checkout), ...unpushedRemarks(checkout), ...baseRemark(checkout, asked)],
  };
}

function loginRemark(checkout: GitCheckout): string[] {
  if (!checkout.hadLogin) return [];
  return ["Note: the URL of origin holds a login, which is left out; the engine asks git's credential helpers."];
}

function unpushedRemarks({ uncommittedFiles, unpushedCommits }: GitCheckout): string[] {
  const missing = [
    ...(uncommittedFiles > 0 ? [counted(uncommittedFiles, "uncommitted file")] : []),
    ...(unpushedCommits > 0
      ? [counted(unpushedCommits, "commit that is not pushed", "commits that are not pushed")]
      : []),
  ];
  if (missing.length === 0) return [];
  return [`Note: the agent works on what is on the remote and will not see ${missing.join(" and ")}.`];
}

function baseRemark(checkout: GitCheckout, asked: Asked): string[] {
  if (asked.base !== undefined) return [];
  if (checkout.remoteBranch !== null)
    return [`Note: a new branch starts at ${checkout.remoteBranch}, the branch you are on.`];
  const where =
    checkout.branch === null ? "you are on no branch" : `origin does not have your branch ${checkout.branch}`;
  return [`Note: ${where}, so a new branch starts at origin's default branch.`];
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
