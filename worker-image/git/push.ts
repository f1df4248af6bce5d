/** The one push of a run: one commit to one branch, never by force, no tags. */
import { RunFailure } from "../run-failure.ts";
import type { RemoteAddress } from "./remote-address.ts";
import { explainGitFailure } from "./git-failure.ts";
import { GitError, type GitContext, tryGit } from "./run-git.ts";

export interface Push {
  remote: RemoteAddress;
  sha: string;
  branch: string;
}

/**
 * Pushes once; a commit that is there already is fine.
 * @throws RunFailure (`push_rejected`) where the remote or git refuses; GitError where the remote could not be asked
 */
export async function pushCommit(context: GitContext, { remote, sha, branch }: Push): Promise<void> {
  const options = ["--porcelain", "--no-verify", "--no-follow-tags", "--no-recurse-submodules"];
  const end = await tryGit(context, ["push", ...options, "--", remote.url, `${sha}:refs/heads/${branch}`]);
  if (end.exitCode === 0) return;
  const refusal = explainRefusal(end, branch);
  if (refusal !== null) throw new RunFailure("push_rejected", refusal);
  throw new GitError(explainGitFailure(end.stderr, remote.shown));
}

/** Said also where it is found out before the push. */
export function movedMeanwhile(branch: string): string {
  return `The branch "${branch}" has moved on the remote meanwhile; nothing was overwritten and nothing was pushed.`;
}

/** Pure: what a line like `!⇥<sha>:refs/heads/x⇥[rejected] (fetch first)` says; null where git got no answer. */
export function explainRefusal(end: { stdout: string; stderr: string }, branch: string): string | null {
  const line = end.stdout.split("\n").find((candidate) => candidate.startsWith("!"));
  if (line === undefined) return null;
  const reason = line.split("\t")[2] ?? "";
  if (/^\[rejected\]|failed to update ref|incorrect old value|cannot lock ref(?!.*cannot create)/.test(reason)) {
    return movedMeanwhile(branch);
  }
  const said = remoteWord(end.stderr);
  const why = /\((.*)\)/.exec(reason)?.[1] ?? reason;
  return `The remote refused the push to "${branch}": ${why}${said === null ? "" : ` (${said})`}.`;
}

/** The last words of the remote's own. */
function remoteWord(stderr: string): string | null {
  const lines = stderr.split(/[\n\r]/).flatMap((line) => /^remote: (.*\S)/.exec(line)?.[1] ?? []);
  return lines.at(-1)?.replace(/\.$/, "").slice(0, 500) ?? null;
}
