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
import { EXIT_TERMINATED, type PhaseResult, requireVariables, runPhaseProgram } from "../phase-program.ts";
import { cleanReport } from "../publish/clean-report.ts";
import { readOutbox } from "../publish/outbox.ts";
import { readOutcome } from "../publish/outcome.ts";
import { copyRemote, publishWork, wasPublished, type Work } from "../publish/publish-work.ts";
import { spoolReport } from "../publish/spool.ts";
import { readTranscript } from "../publish/transcript.ts";
import { failedReport, RunFailure } from "../run-failure.ts";
import { namedSecrets } from "../run-secrets.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface PublishOptions {
  signal: AbortSignal;
  databasePatienceMs?: number;
  /** How long a remote that does not answer is tried again. */
  networkPatienceMs?: number;
}

const NETWORK_PATIENCE_MS = 120_000;

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
  // What is to be settled if the database goes: until there is a report, that the run was lost.
  let report = LOST;
  try {
    const brief = await database.loadBrief();
    const made = cleanReport(await makeReport(phase, brief), masker);
    report = made;
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
  const outcome = await readOutcome(workspace);
  const base: Report = { ...failedReport(NO_REPORT), ...outcome, tasks: await readOutbox(workspace) };
  if (brief.repo_url === null || brief.branch === null) return base;
  const earlier = brief.announced;
  if (!mayPush(outcome, brief) && earlier === null) return base;
  try {
    const work = workOf(phase, { brief, repoUrl: brief.repo_url, branch: brief.branch });
    await mkdir(work.privateDir, { recursive: true });
    const copy = await copyRemote(work);
    const announce = (report: Report): Promise<void> =>
      phase.database.writeReport(cleanReport(report, phase.masker), { final: false });
    if (earlier !== null && (await wasPublished(copy, earlier, work.branch))) {
      // As this attempt's own, for the next one looks no further back.
      await announce(earlier);
      return earlier;
    }
    if (!mayPush(outcome, brief)) return base;
    return { ...base, ...(await publishWork(work, copy, (published) => announce({ ...base, ...published }))) };
  } catch (error) {
    return { ...base, success: false, ...failureOf(error) };
  }
}

const NO_REPORT = { code: "no_report", error: "The agent phase left no outcome that could be read." } as const;

/** Work is pushed if it succeeded, or failed nothing but its checks where the profile wants that too. */
function mayPush(outcome: Outcome | null, brief: Brief): boolean {
  if (outcome === null) return false;
  return outcome.success || (outcome.code === "checks_failed" && brief.profile.push_failing_work);
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
