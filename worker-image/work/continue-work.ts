/**
 * Lays out again what an earlier attempt left: its commits on the task's branch, its session in the agent's HOME,
 * what it had put into the outbox. All of it or nothing: a session that speaks of commits that are not there would
 * lead the agent astray.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Brief, type CheckoutRecord, type ContinuedWork, WORKSPACE } from "../contract.ts";
import type { LoadedWork } from "../database.ts";
import { localGit } from "../git/remote-access.ts";
import type { GitContext } from "../git/run-git.ts";
import { OUTBOX_FILES } from "../mcp/outbox-rules.ts";
import { listCommits, unbundleCommits } from "./bundle.ts";
import { placeSession } from "./session-file.ts";

export interface Continuing {
  brief: Brief;
  loaded: LoadedWork;
  record: CheckoutRecord;
  workspace: string;
  environment: Readonly<Record<string, string | undefined>>;
  signal: AbortSignal;
}

/**
 * @returns what is in the workspace now; null where nothing is, for the work could not be had
 * @throws GitError, or an error of the disk
 */
export async function layOutWork(continuing: Continuing): Promise<ContinuedWork | null> {
  const { brief, loaded, record, workspace } = continuing;
  const { commits, session } = loaded.work;
  const repo = join(workspace, WORKSPACE.repo);
  const git = inClone(continuing, repo);
  if (commits !== null) {
    const branch = record.branch ?? brief.branch;
    if (branch === null) return null;
    if (!(await unbundleCommits(git, { ...commits, branch }, join(workspace, WORKSPACE.tmp)))) return null;
  }
  if (session !== null) {
    await placeSession({ home: join(workspace, WORKSPACE.home), cwd: repo }, session);
    await fillOutbox(join(workspace, WORKSPACE.outbox), loaded);
  }
  return {
    session_id: session?.session_id ?? null,
    code: brief.continues?.code ?? null,
    error: brief.continues?.error ?? null,
    commits: commits === null ? "" : await listCommits(git, record.start_sha),
  };
}

/** The agent remembers to have filed them, so it will not file them again. */
async function fillOutbox(directory: string, { tasks, finish_epic }: LoadedWork): Promise<void> {
  for (const [index, task] of tasks.entries()) {
    await writeFile(join(directory, `${String(index + 1).padStart(4, "0")}.json`), JSON.stringify(task));
  }
  if (finish_epic !== null) await writeFile(join(directory, OUTBOX_FILES.finishEpic), JSON.stringify(finish_epic));
}

/** The agent has not been here yet. */
function inClone({ environment, workspace, signal }: Continuing, repo: string): GitContext {
  const context = localGit(environment, { home: join(workspace, WORKSPACE.tmp), signal });
  const variables = { ...context.environment, GIT_DIR: join(repo, ".git"), GIT_WORK_TREE: repo };
  return { ...context, cwd: repo, environment: variables };
}
