/**
 * What the git checkout around a directory says of itself: where it comes from, which branch it is on,
 * and what of it is not on the remote yet. Asks the local repository only, never the network; changes
 * nothing.
 */
import { execFile } from "node:child_process";
import { resolve } from "node:path";

export interface GitCheckout {
  /** Its top directory. */
  root: string;
  /** The remote `origin`, without any login; null where there is none. */
  repoUrl: string | null;
  /** A user name or password stood in the URL and was left out. */
  hadLogin: boolean;
  /** Null where HEAD is on no branch. */
  branch: string | null;
  /** The branch of the same work on origin, as of the last fetch or push; null where origin has none. */
  remoteBranch: string | null;
  /** Files that differ from the last commit, new ones included. */
  uncommittedFiles: number;
  /** Commits that no branch of origin has. */
  unpushedCommits: number;
}

/** Null outside of a checkout, and where git is missing. */
export async function readGitCheckout(directory: string): Promise<GitCheckout | null> {
  const root = await git(directory, ["rev-parse", "--show-toplevel"]);
  if (root === null || root === "") return null;
  const [url, branch, upstream, status, unpushed] = await Promise.all([
    git(root, ["remote", "get-url", "origin"]),
    git(root, ["symbolic-ref", "--quiet", "--short", "HEAD"]),
    git(root, ["rev-parse", "--abbrev-ref", "--symbolic-full-name", "@{upstream}"]),
    git(root, ["status", "--porcelain"]),
    git(root, ["rev-list", "--count", "HEAD", "--not", "--remotes=origin"]),
  ]);
  const remote = url === null ? null : withoutLogin(absolute(url, root));
  return {
    root,
    repoUrl: remote?.url ?? null,
    hadLogin: remote?.hadLogin ?? false,
    branch,
    remoteBranch: branch === null ? null : await branchOnOrigin(root, branch, upstream),
    uncommittedFiles: status ? status.split("\n").length : 0,
    unpushedCommits: Number(unpushed ?? 0),
  };
}

/** A file as a commit has it; null where the checkout around `directory` has no such commit or file. */
export async function readFileAt(directory: string, commit: string, path: string): Promise<string | null> {
  return /^[0-9a-f]{7,64}$/.test(commit) ? await git(directory, ["show", `${commit}:${path}`]) : null;
}

/** The upstream where it lies on origin, else the branch of the same name there. */
async function branchOnOrigin(root: string, branch: string, upstream: string | null): Promise<string | null> {
  const candidate = upstream?.startsWith("origin/") ? upstream.slice("origin/".length) : branch;
  const found = await git(root, ["rev-parse", "--verify", "--quiet", `refs/remotes/origin/${candidate}`]);
  return found === null ? null : candidate;
}

/** A remote may be a path, seen from the checkout. */
function absolute(url: string, root: string): string {
  return /^\.{1,2}(\/|$)/.test(url) ? resolve(root, url) : url;
}

/** Logins stay where they are: a URL that is stored must not hold one. The user of an SSH remote is an address, not a secret. */
export function withoutLogin(url: string): { url: string; hadLogin: boolean } {
  const clean = /^https?:/i.test(url)
    ? url.replace(/^(https?:\/\/)[^/]*@/i, "$1")
    : url.replace(/^([a-z][a-z0-9+.-]*:\/\/[^/@:]*):[^/]*@/i, "$1@");
  return { url: clean, hadLogin: clean !== url };
}

/** What git prints; null where it fails. Never asks for anything. */
function git(directory: string, args: readonly string[]): Promise<string | null> {
  return new Promise((done) => {
    execFile(
      "git",
      ["-C", directory, ...args],
      {
        env: { ...process.env, GIT_TERMINAL_PROMPT: "0", GIT_OPTIONAL_LOCKS: "0", LC_ALL: "C" },
        maxBuffer: 64 * 2 ** 20,
        timeout: 20_000,
      },
      (error, stdout) => done(error === null ? stdout.trimEnd() : null),
    );
  });
}
