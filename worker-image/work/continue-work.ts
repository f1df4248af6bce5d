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
import { GitError, type GitContext, tryGit } from "../git/run-git.ts";
import { OUTBOX_FILES } from "../mcp/outbox-rules.ts";
import { layPlanOverKept } from "../plan/check-out-plan.ts";
import { isPlanner, type PlannerBrief } from "../plan/planner.ts";
import { RunFailure } from "../run-failure.ts";
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
 * @returns the record with what is in the workspace now; without it where the work could not be had
 * @throws GitError, or an error of the disk
 */
export async function layOutWork(continuing: Continuing): Promise<CheckoutRecord> {
  const { brief, loaded, record } = continuing;
  const continued = await layOut(continuing);
  const began = brief.continues?.base_sha ?? null;
  if (continued === null || loaded.work.commits === null || began === null || !isPlanner(brief)) {
    return { ...record, continued };
  }
  await showPlan(continuing, brief, began);
  // What others wrote into the plan since its first attempt is theirs.
  return { ...record, start_sha: began, shown_sha: await shownByKept(continuing), continued };
}

/** What of the default branch the kept work began from. */
async function shownByKept(continuing: Continuing): Promise<string | null> {
  const context = inClone(continuing, join(continuing.workspace, WORKSPACE.repo));
  const end = await tryGit(context, ["merge-base", "HEAD", continuing.record.shown_sha ?? "HEAD"]);
  return end.exitCode === 0 ? end.stdout.trim() : null;
}

/** Where one of its commits cannot be had, the plan stays as it was kept. */
async function showPlan(continuing: Continuing, brief: PlannerBrief, began: string): Promise<void> {
  const { record, workspace } = continuing;
  const target = join(workspace, WORKSPACE.repo);
  const scratch = join(workspace, WORKSPACE.tmp);
  if (record.start_sha === null) return;
  try {
    await layPlanOverKept(inClone(continuing, target), brief, { target, scratch, began, now: record.start_sha });
  } catch (error) {
    if (!(error instanceof GitError || error instanceof RunFailure)) throw error;
  }
}

async function layOut(continuing: Continuing): Promise<ContinuedWork | null> {
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
    commits: commits === null ? "" : await listCommits(git),
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
