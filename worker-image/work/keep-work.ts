/**
 * What a run leaves that is not pushed: its commits, with what was uncommitted as the last of them, and the CLI's
 * session. Everything is found as publish finds it: no git runs in the agent's repository.
 *
 * A secret in the commits means that nothing is kept.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { WORKSPACE } from "../contract.ts";
import { makePrivateRepository, inPrivateRepository } from "../git/private-repository.ts";
import { demandCleanCommits } from "../git/new-commits.ts";
import { GitError, tryGit } from "../git/run-git.ts";
import { readRemoteAddress } from "../git/remote-address.ts";
import type { Masker } from "../masking.ts";
import { isPlanner } from "../plan/planner.ts";
import { leftNothing } from "../plan/publish-plan.ts";
import { findHead, notedStart } from "../publish/agent-work.ts";
import { copyRemote, type RemoteCopy, type Work } from "../publish/remote-copy.ts";
import { RunFailure } from "../run-failure.ts";
import { bundleCommits, type KeptCommits } from "./bundle.ts";
import { type KeptSession, readSession } from "./session-file.ts";

/** What is stored; one of both is there. */
export interface KeptWork {
  commits: KeptCommits | null;
  session: KeptSession | null;
}

/** The remote was asked before, or its failure is why the work is kept: it is not waited for once more. */
const NETWORK_PATIENCE_MS = 5_000;

/**
 * Finds what the run leaves; null: nothing. What cannot be kept is told to `say` in a sentence (not masked), never
 * thrown, but for the end of the signal.
 * @param work null where the task names no repository
 */
export async function findKeptWork(
  work: Work | null,
  { workspace, sessionId, masker }: { workspace: string; sessionId: string | null; masker: Masker },
  say: (sentence: string) => void,
): Promise<KeptWork | null> {
  const place = { home: join(workspace, WORKSPACE.home), cwd: join(workspace, WORKSPACE.repo) };
  try {
    const commits = work === null ? null : await findCommits({ ...work, networkPatienceMs: NETWORK_PATIENCE_MS });
    const session = await readSession(place, sessionId, masker, say);
    return commits === null && session === null ? null : { commits, session };
  } catch (error) {
    if (work?.localGit.signal.aborted === true) throw error;
    // Whatever it is, the report matters more. And a session without the work that it speaks of would lead the next
    // attempt astray.
    const isNamed = error instanceof RunFailure || error instanceof GitError;
    const { name, code } = error as NodeJS.ErrnoException;
    say(`Nothing of the run's work is kept. ${isNamed ? error.message : `${name} ${code ?? ""}`}`.trim());
    return null;
  }
}

async function findCommits(work: Work): Promise<KeptCommits | null> {
  await mkdir(work.privateDir, { recursive: true });
  const copy = await copyOfRemote(work);
  const head = await findHead(work, copy);
  if (head === null) return null;
  const { brief } = work;
  // The plan that checkout laid out is none of the agent's work. Without the remote nobody can tell.
  if (isPlanner(brief) && copy.state.branches.size > 0 && (await leftNothing({ ...work, brief }, copy))) return null;
  await noteStart(work, copy);
  await demandCleanCommits(copy.local, { head, secrets: work.secrets });
  const file = join(work.privateDir, "kept-work.bundle");
  const kept = await bundleCommits(copy.local, { head, branch: work.branch, file });
  if (kept === null || !isPlanner(brief)) return kept;
  return { ...kept, base_sha: (await notedStart(work.workspace)) ?? kept.base_sha };
}

/** A remote that cannot be reached is no reason to lose the work. */
async function copyOfRemote(work: Work): Promise<RemoteCopy> {
  try {
    return await copyRemote(work);
  } catch (error) {
    if (work.localGit.signal.aborted || !(error instanceof GitError || error instanceof RunFailure)) throw error;
    const gitDir = join(work.privateDir, "repository.git");
    const state = { headSha: null, defaultBranch: null, branches: new Map<string, string>() };
    await makePrivateRepository(work.localGit, { gitDir, remote: state, mirror: work.mirror });
    const local = inPrivateRepository(work.localGit, gitDir);
    return { remote: readRemoteAddress(work.repoUrl), state, branch: work.branch, withRemote: local, local };
  }
}

/** Where checkout began is on the remote, whether that can be asked now or not. */
async function noteStart(work: Work, copy: RemoteCopy): Promise<void> {
  const start = await notedStart(work.workspace, isPlanner(work.brief) ? "shown_sha" : "start_sha");
  if (copy.state.branches.size > 0 || start === null) return;
  await tryGit(copy.local, ["update-ref", "refs/remotes/origin/myzel-start", start]);
}
