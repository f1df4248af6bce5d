/**
 * The first phase: loads the brief, which binds the run to this pod, and lays out the workspace: the
 * agent's clone on its branch, an empty HOME, an empty outbox.
 *
 * Does nothing before the run's token is accepted. What it leaves for the agent holds no secret. A
 * repository or branch that cannot be had is a report of its own (`checkout_failed`).
 */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Brief, type CheckoutRecord, EXIT, WORKSPACE } from "../contract.ts";
import {
  DATABASE_PATIENCE_MS,
  DatabaseRefused,
  DatabaseUnreachable,
  Fenced,
  podDatabase,
  type PodDatabase,
} from "../database.ts";
import { demandBranchName } from "../git/branch-name.ts";
import { cloneRepository, isOnRemoteBranch } from "../git/clone.ts";
import { type RemoteAddress, readRemoteAddress } from "../git/remote-address.ts";
import { remoteGit } from "../git/remote-access.ts";
import { readRemoteState } from "../git/remote-state.ts";
import { GitError, type GitContext } from "../git/run-git.ts";
import { decideStart, wantedOf } from "../git/starting-point.ts";
import { createMasker } from "../masking.ts";
import { landingBranch, workBranch } from "../merge/branches.ts";
import { demandApproval } from "../merge/demand-approval.ts";
import { demandHost } from "../merge/demand-host.ts";
import { withPatience } from "../patience.ts";
import { checkOutPlan } from "../plan/check-out-plan.ts";
import { isPlanner } from "../plan/planner.ts";
import { EXIT_TERMINATED, type PhaseResult, requireVariables, runPhaseProgram } from "../phase-program.ts";
import { secretValues } from "../run-secrets.ts";
import { failedReport, RunFailure } from "../run-failure.ts";
import { layOutResults } from "../results/lay-out-results.ts";
import { layOutWork } from "../work/continue-work.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface CheckoutOptions {
  signal: AbortSignal;
  databasePatienceMs?: number;
  /** How long a host that does not answer is tried again. */
  networkPatienceMs?: number;
}

const NETWORK_PATIENCE_MS = 30_000;

const VARIABLES = [
  "MYZEL_WORKSPACE",
  "MYZEL_RUN_ID",
  "MYZEL_DATABASE_URL",
  "MYZEL_RUN_TOKEN",
  "MYZEL_BOUND_TO",
] as const;

/** Runs the phase. @throws UsageError */
export async function checkout(environment: Environment, options: CheckoutOptions): Promise<PhaseResult> {
  const variables = requireVariables(environment, VARIABLES);
  const masker = createMasker(secretValues(environment));
  const database = podDatabase({
    url: variables.MYZEL_DATABASE_URL,
    runId: variables.MYZEL_RUN_ID,
    token: variables.MYZEL_RUN_TOKEN,
    boundTo: variables.MYZEL_BOUND_TO,
    signal: options.signal,
    patienceMs: options.databasePatienceMs ?? DATABASE_PATIENCE_MS,
  });
  try {
    const brief = await database.loadBrief();
    try {
      await layOut(brief, variables.MYZEL_WORKSPACE, environment, options, database);
      return { exitCode: EXIT.ok, message: null };
    } catch (error) {
      const failure = asRunFailure(error);
      if (failure === null) throw error;
      // What is announced may be on a remote that is only away for now: the run is repeated.
      const code = brief.announced !== null && isPassing(error) ? "lost" : "checkout_failed";
      return await reportFailure(database, { code, error: masker.text(failure.message) });
    }
  } catch (error) {
    return endOfError(error, options.signal, (text) => masker.text(text));
  }
}

async function layOut(
  brief: Brief,
  workspace: string,
  environment: Environment,
  options: CheckoutOptions,
  database: PodDatabase,
) {
  const remote = brief.repo_url === null ? null : readRemoteAddress(brief.repo_url);
  await makeDirectories(workspace);
  await writeFile(join(workspace, WORKSPACE.brief), JSON.stringify(brief, null, 2));
  await layOutResults(workspace, brief.files);
  let record: CheckoutRecord =
    remote === null ? { ...NOTHING_TO_CLONE } : await fetchWork(brief, remote, workspace, environment, options);
  const goesOn = brief.continues !== null && !record.already_published;
  const loaded = goesOn ? await database.loadWork() : null;
  if (loaded !== null) {
    record = await layOutWork({ brief, loaded, record, workspace, environment, signal: options.signal });
    console.log(record.continued === null ? LOST_WORK : "Goes on from what an earlier attempt left.");
  }
  await writeFile(join(workspace, WORKSPACE.checkout), JSON.stringify(record, null, 2));
}

const LOST_WORK = "What an earlier attempt left does not fit the remote any more, so this one starts from the start.";

const NOTHING_TO_CLONE: Readonly<CheckoutRecord> = { already_published: false, branch: null, start_sha: null };

async function fetchWork(
  brief: Brief,
  remote: RemoteAddress,
  workspace: string,
  environment: Environment,
  options: CheckoutOptions,
): Promise<CheckoutRecord> {
  // The agent has not been here yet: the workspace is as good as any other directory.
  const context = remoteGit(environment, remote, { home: join(workspace, WORKSPACE.tmp), signal: options.signal });
  demandHost(brief, remote, environment);
  demandApproval(brief);
  const target = join(workspace, WORKSPACE.repo);
  const limitMs = options.networkPatienceMs ?? NETWORK_PATIENCE_MS;
  const announced = brief.announced?.commit_sha ?? null;
  const mirror = environment["MYZEL_REPO_MIRROR"] || null;

  return withPatience({ limitMs, signal: options.signal, mayPass: isPassing }, async () => {
    if (isPlanner(brief)) {
      await demandBranchName(context, brief.epic.plan_branch);
      return checkOutPlan(context, brief, { remote, target, mirror, depth: depthOf(environment) });
    }
    const state = await readRemoteState(context, remote);
    const branch = workBranch(brief, state.defaultBranch) ?? "";
    await demandBranchName(context, branch);
    const wanted = wantedOf(brief, branch);
    if (announced !== null && state.branches.get(branch) === announced) {
      return { already_published: true, branch, start_sha: announced };
    }
    await rm(target, { recursive: true, force: true });
    const start = decideStart(wanted, state);
    const startSha = await cloneRepository(context, {
      remote,
      target,
      wanted,
      start,
      mirror,
      // What is merged is seen in the whole history only.
      depth: brief.merge === null ? depthOf(environment) : null,
    });
    const landed = landingBranch(brief, branch, state);
    return { already_published: await isPublished(context, target, landed, announced), branch, start_sha: startSha };
  });
}

/** Somebody may have gone on from what an earlier attempt pushed, or have merged it and removed its branch. */
async function isPublished(context: GitContext, clone: string, branch: string | null, announced: string | null) {
  return announced !== null && branch !== null && (await isOnRemoteBranch(context, clone, { sha: announced, branch }));
}

/** Fresh ones: a pod that was restarted runs this phase again, after an agent may have been here. */
async function makeDirectories(workspace: string): Promise<void> {
  for (const name of Object.values(WORKSPACE)) await rm(join(workspace, name), { recursive: true, force: true });
  for (const name of [WORKSPACE.repo, WORKSPACE.home, WORKSPACE.tmp, WORKSPACE.outbox]) {
    await mkdir(join(workspace, name), { recursive: true });
  }
}

function depthOf(environment: Environment): number | null {
  const depth = Number(environment["MYZEL_CLONE_DEPTH"] || 0);
  return Number.isSafeInteger(depth) && depth > 0 ? depth : null;
}

async function reportFailure(database: PodDatabase, failure: Parameters<typeof failedReport>[0]): Promise<PhaseResult> {
  await database.writeReport(failedReport(failure), { final: true });
  return { exitCode: EXIT.checkoutFailed, message: failure.error };
}

function isPassing(error: unknown): boolean {
  return error instanceof GitError && error.failure.mayPass;
}

/** What belongs to the repository, its address or the disk; null for everything else. */
function asRunFailure(error: unknown): RunFailure | null {
  if (error instanceof RunFailure) return error;
  if (error instanceof GitError) return new RunFailure("checkout_failed", error.message, { cause: error });
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOSPC" || code === "EDQUOT") return new RunFailure("checkout_failed", "The workspace's disk is full.");
  return null;
}

function endOfError(error: unknown, signal: AbortSignal, mask: (text: string) => string): PhaseResult {
  if (signal.aborted) return { exitCode: EXIT_TERMINATED, message: "The checkout was told to end." };
  if (error instanceof Fenced) return { exitCode: EXIT.fenced, message: error.message };
  if (error instanceof DatabaseUnreachable || error instanceof DatabaseRefused) {
    return { exitCode: EXIT.databaseUnreachable, message: mask(error.message) };
  }
  throw error;
}

if (import.meta.main) await runPhaseProgram(checkout);
