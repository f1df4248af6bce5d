/**
 * The whole work of the phase: the setup, the agent, then the checks, then the agent again with what
 * the checks found, as often as the profile says. Ends in an outcome, whatever happens.
 */
import { join } from "node:path";
import { type Brief, type ContinuedWork, type Outcome, WORKSPACE } from "../contract.ts";
import { createTail } from "./bounded-text.ts";
import { checksFailed, judgeCheck } from "./checks.ts";
import { runClaude } from "./claude-run.ts";
import { type CommandEnd, runCommand } from "./command.ts";
import { continueMessage, emptyOutbox, isRefusedSession, readContinued, takeOverMessage } from "./continuing.ts";
import { agentEnvironment, workEnvironment } from "./environment.ts";
import { firstMessage } from "./first-message.ts";
import { checksMessage, prepareInvocation } from "./invocation.ts";
import { type Verdict, judge } from "./judge.ts";
import type { Log } from "./log.ts";
import { type Login, placeLogin, takeLogin } from "./login.ts";
import { countMemoryKills } from "./memory-kills.ts";
import { planMessage } from "./plan-check.ts";
import { LOGS_BYTES, afterRun, noProgress, outcomeOf, whatIsLeft } from "./progress.ts";
import { findBillingOfRepository } from "./repository-settings.ts";
import type { Secrets } from "./secrets.ts";
import { judgeSetup } from "./setup.ts";
import { systemPromptOf } from "./system-prompt.ts";
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
  context.log.say(`System prompt: ${systemPromptOf(context.brief).version}`);
  if (profile.setup_command !== null) {
    const setup = await runStep(context, "Setup", profile.setup_command);
    const verdict = judgeSetup(setup, profile);
    if (verdict !== null) return outcomeOf(noProgress(), verdict, `Setup failed: ${setup.output}\n`);
  }
  let login = context.login;
  const continued = readContinued(context.workspace);
  let message = continued === null ? firstMessage(context.brief) : beginMessage(context.brief, continued);
  let session = continued?.session_id ?? null;
  let progress = noProgress();
  let toldOfPlan = false;
  for (let tries = 1; ; tries++) {
    const left = whatIsLeft(profile, progress);
    if (tries > 1 && left.exhausted) return outcomeOf(progress, checksFailed(tries - 1), said.text());
    const billed = billedByRepository(context);
    if (billed !== null) return outcomeOf(progress, billed, said.text());
    placeLogin(login, home);
    const run = await invoke(context, login, message, { ...left, resume: progress.sessionId ?? session }, said.add);
    login = takeLogin(login, home);
    if (session !== null && continued !== null && progress.sessionId === null && isRefusedSession(run)) {
      context.log.say("The session of the earlier attempt cannot be resumed; a new one begins.");
      session = null;
      message = takeOverMessage(context.brief, continued);
      emptyOutbox(context.workspace);
      tries--;
      continue;
    }
    progress = afterRun(progress, run.facts, run.end);
    const ofPlan = run.verdict.success && !toldOfPlan ? await planMessage(context.brief, context.workspace) : null;
    if (ofPlan !== null && !whatIsLeft(profile, progress).exhausted) {
      context.log.say(ofPlan);
      toldOfPlan = true;
      message = ofPlan;
      tries--;
      continue;
    }
    if (!run.verdict.success || profile.check_command === null) return outcomeOf(progress, run.verdict, said.text());

    const check = await runStep(context, "Check", profile.check_command);
    said.add(`Check ${check.passed ? "passed" : "failed"}: ${check.output}\n`);
    progress = { ...progress, checks: { passed: check.passed, tries, output: check.output } };
    const verdict = judgeCheck(check, profile, tries);
    if (verdict !== null) return outcomeOf(progress, verdict, said.text());
    message = checksMessage(profile.check_command, check.output);
  }
}

function beginMessage(brief: Brief, continued: ContinuedWork): string {
  return continued.session_id === null ? takeOverMessage(brief, continued) : continueMessage(brief, continued);
}

/** Before each invocation, for setup, agent and checks may have changed what a trusted repository sets. */
function billedByRepository({ brief, workspace, environment }: SessionContext): Verdict | null {
  const repo = join(workspace, WORKSPACE.repo);
  const error = findBillingOfRepository(brief, repo, environment["MYZEL_MODEL_BASE_URL"]);
  return error === null ? null : { success: false, code: "cost_guard", error, resetsAt: null };
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
    args: prepareInvocation(brief, workspace, { ...limits, modelBaseUrl: context.environment["MYZEL_MODEL_BASE_URL"] }),
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

/** Runs a command of the profile's; log and transcript hold it. */
async function runStep(context: SessionContext, name: "Setup" | "Check", command: string): Promise<CommandEnd> {
  const note = (text: string): void => {
    const line = context.secrets.mask(text);
    context.transcript.add({ text: line, bytes: Buffer.byteLength(line), cut: false }, false);
  };
  context.log.say(`${name}: ${command}`);
  note(`${name}: ${command}`);
  const end = await runCommand({
    command,
    cwd: join(context.workspace, WORKSPACE.repo),
    environment: workEnvironment(context.environment, context.brief, context.workspace),
    deadlineAt: context.deadlineAt,
    secrets: context.secrets,
    signal: context.signal,
  });
  context.log.say(end.passed ? `${name} passed` : `${name} failed:\n${end.output}`);
  note(`${name} ${end.passed ? "passed" : `failed (${end.how})`}:\n${end.output}`);
  return end;
}
