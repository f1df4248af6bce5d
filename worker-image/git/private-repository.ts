/**
 * Publish's own repository, which no agent ever had access to: what is on the remote, and from the
 * agent only commits whose objects were all counted anew.
 *
 * Refs: `refs/remotes/origin/*` is the remote, `refs/myzel/agent` the agent's HEAD.
 */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isRealDirectory } from "../hostile-files.ts";
import { makeView, readAgentHead } from "./agent-repository.ts";
import type { RemoteAddress } from "./remote-address.ts";
import type { RemoteState } from "./remote-state.ts";
import { git, type GitContext, tryGit } from "./run-git.ts";

const AGENT_REF = "refs/myzel/agent";

/** Makes it anew at `gitDir`. `mirror`: a bare repository whose objects it may use. */
export async function makePrivateRepository(
  context: GitContext,
  { gitDir, remote, mirror }: { gitDir: string; remote: RemoteState; mirror: string | null },
): Promise<void> {
  await rm(gitDir, { recursive: true, force: true });
  const anySha = remote.headSha ?? remote.branches.values().next().value ?? "";
  const format = anySha.length === 64 ? "sha256" : "sha1";
  await git(context, ["init", "--quiet", "--bare", "--template=", `--object-format=${format}`, gitDir]);
  if (mirror === null || !(await isRealDirectory(join(mirror, "objects")))) return;
  await mkdir(join(gitDir, "objects", "info"), { recursive: true });
  await writeFile(join(gitDir, "objects", "info", "alternates"), `${join(mirror, "objects")}\n`);
}

/** A context whose git works in the private repository. */
export function inPrivateRepository(context: GitContext, gitDir: string): GitContext {
  return { ...context, environment: { ...context.environment, GIT_DIR: gitDir } };
}

/**
 * Brings every branch of the remote.
 * @param depth commits of history; null: all
 * @throws GitError
 */
export async function fetchRemote(context: GitContext, remote: RemoteAddress, depth: number | null): Promise<void> {
  const options = ["--quiet", "--no-tags", "--no-write-fetch-head", ...(depth === null ? [] : [`--depth=${depth}`])];
  await git(context, ["fetch", ...options, "--", remote.url, "+refs/heads/*:refs/remotes/origin/*"]);
}

/** Brings commits of the remote without their history, where it gives them all; returns whether it did. */
export async function fetchCommits(context: GitContext, remote: RemoteAddress, shas: string[]): Promise<boolean> {
  const options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--depth=1"];
  return (await tryGit(context, ["fetch", ...options, "--", remote.url, ...shas])).exitCode === 0;
}

/**
 * Brings the agent's HEAD with its history.
 * @returns its commit; null where the agent left no repository that can be read
 */
export async function fetchAgentHead(
  context: GitContext,
  { workTree, view }: { workTree: string; view: string },
): Promise<string | null> {
  const gitDir = join(workTree, ".git");
  const head = await readAgentHead(gitDir);
  if (head === null) return null;
  await rm(view, { recursive: true, force: true });
  // The view is made outside of the private repository that the context names.
  const { GIT_DIR: _, ...environment } = context.environment;
  if (!(await makeView({ ...context, environment }, { gitDir, view, head }))) return null;
  const fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--update-shallow"];
  const refspec = `+refs/heads/agent:${AGENT_REF}`;
  const end = await tryGit(context, ["-c", "fetch.fsckObjects=true", ...fetch, "--", view, refspec]);
  return end.exitCode === 0 ? head : null;
}

/** Whether every commit of `ancestor` is part of `of`; false where one of them is not there. */
export async function isAncestor(context: GitContext, pair: { ancestor: string; of: string }): Promise<boolean> {
  return (await tryGit(context, ["merge-base", "--is-ancestor", pair.ancestor, pair.of])).exitCode === 0;
}

/** Whether the commit is on a branch of the remote. */
export async function isOnRemote(context: GitContext, sha: string): Promise<boolean> {
  if (!SHA.test(sha)) return false;
  const end = await tryGit(context, ["for-each-ref", "--count=1", `--contains=${sha}`, "refs/remotes/origin"]);
  return end.exitCode === 0 && end.stdout !== "";
}

/** A commit's whole name. */
export const SHA = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
