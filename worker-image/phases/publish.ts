/**
 * The last phase: commits what is left, pushes the task's branch and nothing else, stores the
 * transcript, writes the report that the engine settles from.
 *
 * Treats the workspace as hostile: runs no git in the agent's repository, follows no link, believes no
 * file. Does nothing before the run's token is accepted. Whatever happens after that ends in a report,
 * in the database or, where that cannot be reached, in the spool.
 */
import { type Brief, EXIT } from "../contract.ts";
import {
  DATABASE_PATIENCE_MS,
  DatabaseRefused,
  DatabaseUnreachable,
  Fenced,
  podDatabase,
  type PodDatabase,
} from "../database.ts";
import { createMasker } from "../masking.ts";
import { EXIT_TERMINATED, type PhaseResult, requireVariables, runPhaseProgram } from "../phase-program.ts";
import { cleanReport } from "../publish/clean-report.ts";
import { leavesWork, reportWithoutDatabase } from "../publish/judge-report.ts";
import { makeReport } from "../publish/make-report.ts";
import { readOutcome } from "../publish/outcome.ts";
import { PUBLISH_VARIABLES, type PublishOptions, type PublishPhase, workOf } from "../publish/publish-phase.ts";
import { spoolReport } from "../publish/spool.ts";
import { readTranscript } from "../publish/transcript.ts";
import { namedSecrets } from "../run-secrets.ts";
import { stopSignal } from "../stop-file.ts";
import { findKeptWork } from "../work/keep-work.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Runs the phase; of a run that is being stopped it only keeps what there is. @throws UsageError */
export async function publish(environment: Environment, options: PublishOptions): Promise<PhaseResult> {
  const keeping = phaseOf(environment, options);
  if (environment["MYZEL_KEEP_ONLY"] === "1") return keepOfStopped(keeping);
  const stop = stopSignal(environment);
  if (stop.aborted) return keepOfStopped(keeping);
  const end = await publishAll(phaseOf(environment, { ...options, signal: AbortSignal.any([options.signal, stop]) }));
  // The database knows of a stop before the file does, and turns publish away.
  const turnedAway = end.exitCode === EXIT.fenced && Boolean(environment["MYZEL_STOP_FILE"]);
  const interrupted = end.exitCode === EXIT_TERMINATED && !options.signal.aborted;
  return turnedAway || interrupted ? keepOfStopped(keeping) : end;
}

function phaseOf(environment: Environment, options: PublishOptions): PublishPhase {
  const variables = requireVariables(environment, PUBLISH_VARIABLES);
  const database = podDatabase({
    url: variables.MYZEL_DATABASE_URL,
    runId: variables.MYZEL_RUN_ID,
    token: variables.MYZEL_RUN_TOKEN,
    boundTo: variables.MYZEL_BOUND_TO,
    signal: options.signal,
    patienceMs: options.databasePatienceMs ?? DATABASE_PATIENCE_MS,
  });
  const masker = createMasker(namedSecrets(environment).map(({ value }) => value));
  return { variables, environment, options, database, masker };
}

async function publishAll(phase: PublishPhase): Promise<PhaseResult> {
  const { variables, options, database, masker } = phase;
  // What is to be settled if the database goes.
  let report = cleanReport(reportWithoutDatabase(await readOutcome(variables.MYZEL_WORKSPACE)), masker);
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

/** Stores what was not pushed; returns whether there is anything now. */
async function keepWork(phase: PublishPhase, brief: Brief, sessionId: string | null): Promise<boolean> {
  const { MYZEL_WORKSPACE: workspace } = phase.variables;
  const { masker } = phase;
  const say = (sentence: string): void => void process.stderr.write(`${masker.text(sentence)}\n`);
  const kept = await findKeptWork(workOf(phase, brief), { workspace, sessionId, masker }, say);
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
async function keepOfStopped(phase: PublishPhase): Promise<PhaseResult> {
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
async function storeTranscript({ database }: PublishPhase, transcript: Parameters<PodDatabase["storeTranscript"]>[0]) {
  try {
    await database.storeTranscript(transcript);
  } catch (error) {
    if (!(error instanceof DatabaseRefused)) throw error;
    process.stderr.write("The database refused the transcript.\n");
  }
}

if (import.meta.main) await runPhaseProgram(publish);
