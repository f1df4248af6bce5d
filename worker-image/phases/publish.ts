/**
 * The last phase: commits what is left, pushes the task's branch and nothing else, stores the
 * transcript, writes the report that the engine settles from.
 *
 * Treats the workspace as hostile: runs no git in the agent's repository, follows no link, believes no
 * file. Does nothing before the run's token is accepted. Whatever happens after that ends in a report,
 * in the database or, where that cannot be reached, in the spool.
 */
import { mkdir } from "node:fs/promises";
import { type Brief, EXIT, type Outcome, type Report } from "../contract.ts";
import {
  DATABASE_PATIENCE_MS,
  DatabaseRefused,
  DatabaseUnreachable,
  Fenced,
  podDatabase,
  type PodDatabase,
} from "../database.ts";
import { localGit, remoteGit } from "../git/remote-access.ts";
import { GitError } from "../git/run-git.ts";
import { createMasker, type Masker } from "../masking.ts";
import { offerOf } from "../mcp/offer.ts";
import { finishOnHost } from "../merge/finish-on-host.ts";
import { EXIT_TERMINATED, type PhaseResult, requireVariables, runPhaseProgram } from "../phase-program.ts";
import { isPlanner } from "../plan/planner.ts";
import { leftOut, publishPlan } from "../plan/publish-plan.ts";
import { cleanReport } from "../publish/clean-report.ts";
import { demandChecks } from "../publish/demand-checks.ts";
import { readOutbox } from "../publish/outbox.ts";
import { readOutcome } from "../publish/outcome.ts";
import {
  copyRemote,
  type Published,
  publishWork,
  type RemoteCopy,
  wasPublished,
  type Work,
} from "../publish/publish-work.ts";
import { spoolReport } from "../publish/spool.ts";
import { readTranscript } from "../publish/transcript.ts";
import { failedReport, RunFailure } from "../run-failure.ts";
import { namedSecrets } from "../run-secrets.ts";
import { findKeptWork } from "../work/keep-work.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface PublishOptions {
  signal: AbortSignal;
  databasePatienceMs?: number;
  /** How long a remote that does not answer is tried again. */
  networkPatienceMs?: number;
}

const NETWORK_PATIENCE_MS = 120_000;
/** How long a merge waits for the checks of its pull request. */
const CHECKS_WAIT_SECONDS = 15 * 60;

const MAX_NAMED_PATHS = 20;

const VARIABLES = [
  "MYZEL_WORKSPACE",
  "MYZEL_RUN_ID",
  "MYZEL_DATABASE_URL",
  "MYZEL_RUN_TOKEN",
  "MYZEL_BOUND_TO",
  "MYZEL_PRIVATE_DIR",
  "MYZEL_SPOOL_DIR",
] as const;

interface Phase {
  variables: Record<(typeof VARIABLES)[number], string>;
  environment: Environment;
  options: PublishOptions;
  database: PodDatabase;
  masker: Masker;
}

/** Runs the phase. @throws UsageError */
export async function publish(environment: Environment, options: PublishOptions): Promise<PhaseResult> {
  const variables = requireVariables(environment, VARIABLES);
  const database = podDatabase({
    url: variables.MYZEL_DATABASE_URL,
    runId: variables.MYZEL_RUN_ID,
    token: variables.MYZEL_RUN_TOKEN,
    boundTo: variables.MYZEL_BOUND_TO,
    signal: options.signal,
    patienceMs: options.databasePatienceMs ?? DATABASE_PATIENCE_MS,
  });
  const masker = createMasker(namedSecrets(environment).map(({ value }) => value));
  const phase: Phase = { variables, environment, options, database, masker };
  if (environment["MYZEL_KEEP_ONLY"] === "1") return keepOfStopped(phase);
  // What is to be settled if the database goes: until there is a report, that the run was lost.
  let report = LOST;
  try {
    const brief = await database.loadBrief();
    const made = cleanReport(await makeReport(phase, brief), masker);
    report = made;
    if (leavesWork(made)) report = { ...made, work_kept: await keepWork(phase, brief, made.session_id) };
    const transcript = await readTranscript(variables.MYZEL_WORKSPACE, masker);
    if (transcript !== null) await storeTranscript(phase, transcript);
    await database.writeReport(report, { final: true });
    return { exitCode: EXIT.ok, message: null };
  } catch (error) {
    if (options.signal.aborted) return { exitCode: EXIT_TERMINATED, message: "Publishing was told to end." };
    if (error instanceof Fenced) return { exitCode: EXIT.fenced, message: error.message };
    if (!(error instanceof DatabaseUnreachable || error instanceof DatabaseRefused)) throw error;
    await spoolReport(variables.MYZEL_SPOOL_DIR, report);
    return { exitCode: EXIT.reportSpooled, message: masker.text(`${error.message} The report was spooled.`) };
  }
}

/** Without the database nothing may be pushed, so the run is as good as lost and can be repeated. */
const LOST: Report = failedReport({
  code: "lost",
  error: "The database could not be reached before the work was pushed, so nothing was pushed.",
});

async function makeReport(phase: Phase, brief: Brief): Promise<Report> {
  const { MYZEL_WORKSPACE: workspace } = phase.variables;
  const outcome = demandChecks(await readOutcome(workspace), brief);
  const base: Report = { ...failedReport(NO_REPORT), ...outcome, ...(await readOutbox(workspace, offerOf(brief))) };
  if (brief.repo_url === null || brief.branch === null) return base;
  const earlier = brief.announced;
  if (!mayPush(outcome, brief) && earlier === null) return base;
  try {
    const work = workOf(phase, { brief, repoUrl: brief.repo_url, branch: brief.branch });
    await mkdir(work.privateDir, { recursive: true });
    const copy = await copyRemote(work);
    const announce = (report: Report): Promise<void> =>
      phase.database.writeReport(cleanReport(report, phase.masker), { final: false });
    if (earlier !== null && (await wasPublished(copy, earlier))) {
      // As this attempt's own, for the next one looks no further back.
      await announce(earlier);
      return await onHost(phase, { work, copy, announce }, earlier);
    }
    if (!mayPush(outcome, brief)) return base;
    const published = await publishIt(phase, work, copy, (published) => announce({ ...base, ...published }));
    return await onHost(phase, { work, copy, announce }, { ...base, ...published });
  } catch (error) {
    return { ...base, success: false, ...failureOf(error) };
  }
}

/** A planner's section of the plan, or all of a worker's work. */
async function publishIt(
  phase: Phase,
  work: Work,
  copy: RemoteCopy,
  announce: (published: Published) => Promise<void>,
): Promise<Published> {
  const { brief } = work;
  if (!isPlanner(brief)) return publishWork(work, copy, announce);
  const published = await publishPlan({ ...work, brief }, copy, announce);
  const paths = await leftOut({ ...work, brief }, copy).catch((error: unknown) => {
    // The plan is published; what cannot be read is not missed.
    if (error instanceof RunFailure || error instanceof GitError) return [];
    throw error;
  });
  if (paths.length > 0) process.stderr.write(`${phase.masker.text(notPublished(paths))}\n`);
  return published;
}

function notPublished(paths: readonly string[]): string {
  const more = paths.length > MAX_NAMED_PATHS ? ` and ${paths.length - MAX_NAMED_PATHS} more` : "";
  return `Of Green only the plan is published; left out: ${paths.slice(0, MAX_NAMED_PATHS).join(", ")}${more}.`;
}

const NO_REPORT = { code: "no_report", error: "The agent phase left no outcome that could be read." } as const;

/** Work is pushed if it succeeded, or failed nothing but its checks where the profile wants that too and it is no merge. */
function mayPush(outcome: Outcome | null, brief: Brief): boolean {
  if (outcome === null) return false;
  const pushesFailing = brief.profile.push_failing_work && brief.merge === null;
  return outcome.success || (outcome.code === "checks_failed" && pushesFailing);
}

/** What is left to do at the repository's host. */
function onHost(
  { environment, masker }: Phase,
  given: Pick<Parameters<typeof finishOnHost>[0], "work" | "copy" | "announce">,
  report: Report,
): Promise<Report> {
  const checksPatienceMs = Number(environment["MYZEL_CHECKS_WAIT_SECONDS"] || CHECKS_WAIT_SECONDS) * 1000;
  return finishOnHost({ ...given, environment, checksPatienceMs, mask: (text) => masker.text(text) }, report);
}

function workOf(phase: Phase, task: Pick<Work, "brief" | "repoUrl" | "branch">): Work {
  const { environment, options, variables } = phase;
  const privateDir = variables.MYZEL_PRIVATE_DIR;
  const where = { home: privateDir, signal: options.signal };
  const depth = Number(environment["MYZEL_CLONE_DEPTH"] || 0);
  return {
    ...task,
    workspace: variables.MYZEL_WORKSPACE,
    privateDir,
    secrets: namedSecrets(environment),
    mirror: environment["MYZEL_REPO_MIRROR"] || null,
    depth: Number.isSafeInteger(depth) && depth > 0 ? depth : null,
    remoteGit: (remote) => remoteGit(environment, remote, where),
    localGit: localGit(environment, where),
    networkPatienceMs: options.networkPatienceMs ?? NETWORK_PATIENCE_MS,
  };
}

/** @throws what is no failure of the work */
function failureOf(error: unknown): Pick<Report, "code" | "error"> {
  if (error instanceof RunFailure) {
    // Judged by the rules of checkout, but found out here.
    return { code: error.code === "checkout_failed" ? "push_rejected" : error.code, error: error.message };
  }
  if (error instanceof GitError) return { code: "push_rejected", error: error.message };
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return { code: "push_rejected", error: "The disk is full, so nothing could be pushed." };
  }
  throw error;
}

/** Whether there may be something that is neither pushed nor a secret. */
function leavesWork(report: Report): boolean {
  return !report.success && report.commit_sha === null && report.code !== "secret_leaked";
}

/** Stores what was not pushed; returns whether there is anything now. */
async function keepWork(phase: Phase, brief: Brief, sessionId: string | null): Promise<boolean> {
  const { MYZEL_WORKSPACE: workspace } = phase.variables;
  const { masker } = phase;
  const say = (sentence: string): void => void process.stderr.write(`${masker.text(sentence)}\n`);
  const { repo_url: repoUrl, branch } = brief;
  const work = repoUrl === null || branch === null ? null : workOf(phase, { brief, repoUrl, branch });
  const kept = await findKeptWork(work, { workspace, sessionId, masker }, say);
  if (kept === null) return false;
  try {
    await phase.database.storeWork(kept);
    return true;
  } catch (error) {
    if (!(error instanceof DatabaseRefused)) throw error;
    say("The database refused what the run left, so it is not kept.");
    return false;
  }
}

/** The run was told to stop while its agent worked: nothing is pushed and nothing reported, but what there is, is kept. */
async function keepOfStopped(phase: Phase): Promise<PhaseResult> {
  try {
    const brief = await phase.database.loadStoppedBrief();
    const outcome = await readOutcome(phase.variables.MYZEL_WORKSPACE);
    await keepWork(phase, brief, outcome?.session_id ?? null);
    return { exitCode: EXIT.ok, message: null };
  } catch (error) {
    if (phase.options.signal.aborted)
      return { exitCode: EXIT_TERMINATED, message: "Keeping the work was told to end." };
    const isDatabase = error instanceof DatabaseUnreachable || error instanceof DatabaseRefused;
    if (!isDatabase && !(error instanceof Fenced)) throw error;
    return { exitCode: EXIT.fenced, message: phase.masker.text(error.message) };
  }
}

/** A transcript that the database refuses costs the transcript, not the report. */
async function storeTranscript({ database }: Phase, transcript: Parameters<PodDatabase["storeTranscript"]>[0]) {
  try {
    await database.storeTranscript(transcript);
  } catch (error) {
    if (!(error instanceof DatabaseRefused)) throw error;
    process.stderr.write("The database refused the transcript.\n");
  }
}

if (import.meta.main) await runPhaseProgram(publish);
