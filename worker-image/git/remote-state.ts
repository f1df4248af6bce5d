/** What is on a remote: its branches and which of them is the default. */
import { git, type GitContext } from "./run-git.ts";
import type { RemoteAddress } from "./remote-address.ts";

export interface RemoteState {
  /** Branch name → commit. */
  branches: ReadonlyMap<string, string>;
  /** Null where the remote is empty or its HEAD names no branch. */
  defaultBranch: string | null;
  /** What HEAD stands at, be it a branch or not; null where it stands nowhere. */
  headSha: string | null;
}

/** Asks the remote. @throws GitError */
export async function readRemoteState(context: GitContext, remote: RemoteAddress): Promise<RemoteState> {
  return parseRemoteState(await git(context, ["ls-remote", "--symref", "--", remote.url, "HEAD", "refs/heads/*"]));
}

/** Pure: the answer of `git ls-remote --symref`. Its patterns match the ends of names, so others come along. */
export function parseRemoteState(answer: string): RemoteState {
  const branches = new Map<string, string>();
  let defaultBranch: string | null = null;
  let headSha: string | null = null;
  for (const line of answer.split("\n")) {
    const [value, name] = line.split("\t");
    if (value === undefined || name === undefined) continue;
    if (name === "HEAD" && value.startsWith("ref: refs/heads/")) defaultBranch = value.slice("ref: refs/heads/".length);
    else if (name === "HEAD") headSha = value;
    else if (name.startsWith("refs/heads/")) branches.set(name.slice("refs/heads/".length), value);
  }
  return { branches, defaultBranch, headSha };
}
