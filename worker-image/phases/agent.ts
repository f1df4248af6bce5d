/**
 * The phase `agent`: runs Claude Code on the brief and writes down how it went.
 *
 * Holds the Claude credential and the profile's secrets, no other. Once its guard has passed it exits 0 whenever it could
 * write an outcome, failures included, so that `publish` always runs. Nothing of a credential reaches
 * the log, the transcript or the outcome.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { findBilling } from "../agent/cost-guard.ts";
import type { Verdict } from "../agent/judge.ts";
import { openLog } from "../agent/log.ts";
import { type Login, findLogin, takeLogin } from "../agent/login.ts";
import { reserveRoom, writeOutcome } from "../agent/outcome-file.ts";
import { noProgress, outcomeOf } from "../agent/progress.ts";
import { openSecrets } from "../agent/secrets.ts";
import { runSession } from "../agent/session.ts";
import { openTranscript } from "../agent/transcript.ts";
import { type Brief, EXIT, type Outcome, WORKSPACE } from "../contract.ts";
import { type PhaseFunction, type PhaseResult, requireVariables, runPhaseProgram } from "../phase-program.ts";
import { stopSignal } from "../stop-file.ts";

type Environment = Parameters<PhaseFunction>[0];

/** Runs the phase with this environment. When `signal` aborts, or the stop file fills, the CLI is ended and the outcome is `stopped`. */
export async function agent(environment: Environment, options: { signal: AbortSignal }): Promise<PhaseResult> {
  const startedAt = performance.now();
  const signal = AbortSignal.any([options.signal, stopSignal(environment)]);
  const { MYZEL_WORKSPACE: workspace } = requireVariables(environment, ["MYZEL_WORKSPACE"]);
  if (alreadyPublished(workspace)) {
    console.log("An earlier attempt has pushed its commit already; the agent is skipped.");
    return { exitCode: EXIT.ok, message: null };
  }
  const brief = JSON.parse(readFileSync(join(workspace, WORKSPACE.brief), "utf8")) as Brief;
  const billing = findBilling(environment, brief.profile);
  if (billing !== null) return { exitCode: EXIT.costGuard, message: billing };
  const login = findLogin(environment);
  if (login.kind === "none") return { exitCode: EXIT.noCredential, message: login.problem };
  const deadlineAt = startedAt + brief.profile.time_limit_seconds * 1000;
  return work({ environment, workspace, brief, login, deadlineAt, signal });
}

async function work(given: {
  environment: Environment;
  workspace: string;
  brief: Brief;
  login: Login;
  deadlineAt: number;
  signal: AbortSignal;
}): Promise<PhaseResult> {
  const { environment, workspace, login } = given;
  const home = join(workspace, WORKSPACE.home);
  for (const name of [WORKSPACE.repo, WORKSPACE.home, WORKSPACE.tmp]) {
    mkdirSync(join(workspace, name), { recursive: true });
  }
  reserveRoom(workspace);
  const secrets = openSecrets(environment, home);
  const log = openLog(secrets, (text) => process.stdout.write(text));
  const endPulse = log.startPulse();
  const transcript = openTranscript(join(workspace, WORKSPACE.stream));
  const outcome = await runSession({ ...given, secrets, transcript, log }).catch(brokenOutcome);
  endPulse();
  takeLogin(login, home);
  transcript.close();
  const masked = JSON.parse(secrets.mask(JSON.stringify(outcome))) as Outcome;
  writeOutcome(workspace, masked);
  log.sayLast(masked.success ? "Outcome: success" : `Outcome: ${masked.code}: ${masked.error}`);
  return { exitCode: EXIT.ok, message: null };
}

/** Whether checkout found the commit of an earlier attempt on the remote. */
function alreadyPublished(workspace: string): boolean {
  try {
    const checkout = JSON.parse(readFileSync(join(workspace, WORKSPACE.checkout), "utf8")) as Record<string, unknown>;
    return checkout["already_published"] === true;
  } catch {
    return false;
  }
}

/** A fault of the phase itself, such as a full disk: still an outcome, so that the report gets through. */
function brokenOutcome(error: unknown): Outcome {
  const message = error instanceof Error ? error.message : String(error);
  const verdict: Verdict = {
    success: false,
    code: "agent_error",
    error: `The agent phase failed: ${message}`,
    resetsAt: null,
  };
  return outcomeOf(noProgress(), verdict, "");
}

if (import.meta.main) {
  // A reader of the log that went away is no reason to end.
  process.stdout.on("error", () => {});
  await runPhaseProgram(agent);
}
