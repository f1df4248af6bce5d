/**
 * The whole work of the phase: the agent, then the checks, then the agent again with what the checks
 * found, as often as the profile says. Ends in an outcome, whatever happens.
 */
import { join } from "node:path";
import { type Brief, type BriefProfile, type FailureCode, type Outcome, WORKSPACE } from "../contract.ts";
import { createTail } from "./bounded-text.ts";
import { type CheckEnd, runCheck } from "./checks.ts";
import { runClaude } from "./claude-run.ts";
import { agentEnvironment, workEnvironment } from "./environment.ts";
import { checksMessage, firstMessage, prepareInvocation } from "./invocation.ts";
import { type Verdict, judge } from "./judge.ts";
import type { Log } from "./log.ts";
import { type Login, placeLogin, takeLogin } from "./login.ts";
import { countMemoryKills } from "./memory-kills.ts";
import { LOGS_BYTES, afterRun, noProgress, outcomeOf, whatIsLeft } from "./progress.ts";
import type { Secrets } from "./secrets.ts";
import type { Transcript } from "./transcript.ts";

export interface SessionContext {
  brief: Brief;
  workspace: string;
  /** The phase's own. */
  environment: Readonly<Record<string, string | undefined>>;
  login: Login;
  secrets: Secrets;
  transcript: Transcript;
  log: Log;
  /** Aborted when the phase is told to end. */
  signal: AbortSignal;
  /** On the clock of `performance.now()`. */
  deadlineAt: number;
}

/** Works on the brief until it is done, failed or stopped. */
export async function runSession(context: SessionContext): Promise<Outcome> {
  const { profile } = context.brief;
  const home = join(context.workspace, WORKSPACE.home);
  const said = createTail(LOGS_BYTES);
  let login = context.login;
  let message = firstMessage(context.brief);
  let progress = noProgress();
  for (let tries = 1; ; tries++) {
    const left = whatIsLeft(profile, progress);
    if (tries > 1 && left.exhausted) return outcomeOf(progress, checksFailed(tries - 1), said.text());
    placeLogin(login, home);
    const run = await invoke(context, login, message, { ...left, resume: progress.sessionId }, said.add);
    login = takeLogin(login, home);
    progress = afterRun(progress, run.facts, run.end);
    if (!run.verdict.success || profile.check_command === null) return outcomeOf(progress, run.verdict, said.text());

    const check = await runChecks(context, profile.check_command);
    said.add(`Check ${check.passed ? "passed" : "failed"}: ${check.output}\n`);
    progress = { ...progress, checks: { passed: check.passed, tries, output: check.output } };
    const verdict = judgeCheck(check, profile, tries);
    if (verdict !== null) return outcomeOf(progress, verdict, said.text());
    message = checksMessage(profile.check_command, check.output);
  }
}

async function invoke(
  context: SessionContext,
  login: Login,
  message: string,
  limits: { resume: string | null; maxTurns: number | null; maxCostUsd: number | null },
  onSaid: (text: string) => void,
) {
  const { brief, workspace } = context;
  const killsBefore = countMemoryKills();
  const { facts, end } = await runClaude({
    program: context.environment["MYZEL_CLAUDE_PATH"] || "claude",
    args: prepareInvocation(brief, workspace, limits),
    cwd: join(workspace, WORKSPACE.repo),
    environment: agentEnvironment(context.environment, brief, workspace, login),
    message,
    limits: {
      firstOutputMs: brief.profile.first_output_seconds * 1000,
      silenceMs: brief.profile.silence_seconds * 1000,
      deadlineAt: context.deadlineAt,
    },
    secrets: context.secrets,
    transcript: context.transcript,
    log: context.log,
    onSaid,
    signal: context.signal,
  });
  const processEnd = { ...end, outOfMemory: countMemoryKills() > killsBefore };
  const verdict = judge(facts, processEnd, {
    timeLimitSeconds: brief.profile.time_limit_seconds,
    firstOutputSeconds: brief.profile.first_output_seconds,
    silenceSeconds: brief.profile.silence_seconds,
  });
  return { facts, end: processEnd, verdict };
}

async function runChecks(context: SessionContext, command: string): Promise<CheckEnd> {
  context.log.say(`Check: ${command}`);
  const check = await runCheck({
    command,
    cwd: join(context.workspace, WORKSPACE.repo),
    environment: workEnvironment(context.environment, context.brief, context.workspace),
    deadlineAt: context.deadlineAt,
    secrets: context.secrets,
    signal: context.signal,
  });
  context.log.say(check.passed ? "Check passed" : `Check failed:\n${check.output}`);
  return check;
}

/** What the checks' end means: a final verdict, or null where the agent gets another try. */
function judgeCheck(check: CheckEnd, profile: BriefProfile, tries: number): Verdict | null {
  if (check.endedBy === "stopped") return failed("stopped", "The run was stopped.");
  if (check.endedBy === "deadline") {
    const limit = profile.time_limit_seconds;
    return failed("deadline_exceeded", `The check command did not end within the time limit of ${limit} seconds.`);
  }
  if (check.passed) return { success: true, code: null, error: null, resetsAt: null };
  return tries > profile.check_tries ? checksFailed(tries) : null;
}

function checksFailed(tries: number): Verdict {
  return failed("checks_failed", `The check command failed, ${tries === 1 ? "once" : `the last of ${tries} times`}.`);
}

function failed(code: FailureCode, error: string): Verdict {
  return { success: false, code, error, resetsAt: null };
}
