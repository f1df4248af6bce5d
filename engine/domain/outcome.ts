/**
 * Turns what was seen of an ended job into what is settled. Pure: no I/O, no clock.
 *
 * A stored report decides, whatever became of the job; without one the job's end is judged.
 */
import type { FailureCode, Report } from "../../worker-image/contract.ts";
import type { JobEnd, LaunchFailureCode } from "./job.ts";
import { FAILURE_KINDS } from "./failure-codes.ts";
import { judgeWithoutReport } from "./judge-without-report.ts";
import { blockedUntil, overloadedUntil, retryPauseSeconds } from "./retry.ts";

/** What the database's settle_runs() executes. It makes no choice of its own but whether the task is still the run's. */
export interface Settlement {
  action: "complete" | "requeue";
  success: boolean;
  failure_code: FailureCode | null;
  error: string | null;
  exit_code: number | null;
  logs: string | null;
  summary: string | null;
  branch: string | null;
  commit_sha: string | null;
  pull_request_url: string | null;
  files_changed: string[];
  checks: Report["checks"];
  tasks: Report["tasks"];
  finish_epic: Report["finish_epic"];
  cost_usd: number | null;
  input_tokens: number | null;
  output_tokens: number | null;
  cache_read_tokens: number | null;
  cache_creation_tokens: number | null;
  turns: number | null;
  session_id: string | null;
  model: string | null;
  /** What the run did not push is kept. */
  work_kept: boolean;
  retry_after_seconds: number | null;
  /** Until when nothing starts with the run's credential: an ISO time, or `infinity`. */
  blocked_until: string | null;
  blocked_reason: string | null;
  /** Of the credential, where this run adds to them. */
  overloads_in_a_row: number | null;
  /** ISO time: the service has warned of a usage limit that resets then. */
  warned_until: string | null;
}

/** What went before a run that has to wait: of its task and of its credential. */
export interface Past {
  /** Runs of the task right before this one that ended with the same code and had done nothing. */
  failuresInARow: number;
  /** How often in a row the service was too busy for this credential. */
  overloadsInARow: number;
  /** The credential is blocked already. */
  isBlocked: boolean;
}

/** What a settlement depends on besides the job's end. */
export interface SettledRun {
  /** Infrastructure failures in a row before this run. */
  retries: number;
  stopReason: string | null;
  /** Stored by publish. */
  report: Report | null;
  /** Where its outcome depends on it; missing: nothing went before. */
  past?: Past | undefined;
}

/** So often in a row a task is put back without having done anything; then it fails. */
const MOST_IN_A_ROW = { usage_limit: 3, api_overloaded: 20 } as const;

const WAIT_CODES = Object.keys(MOST_IN_A_ROW) as (keyof typeof MOST_IN_A_ROW)[];

/** The code of a failure after which a task waits, for which `Past` is asked; null: another end. */
export function waitCode(report: Report | null): keyof typeof MOST_IN_A_ROW | null {
  if (report === null || report.success) return null;
  return WAIT_CODES.find((code) => code === report.code) ?? null;
}

/** The settlement of an ended job. `random` in [0, 1) spreads pauses. */
export function settlementOf(run: SettledRun, end: JobEnd, now: Date, random: number): Settlement {
  const report = run.report ?? end.spooledReport;
  const exitCode = end.phases.at(-1)?.exitCode ?? null;
  if (report !== null) {
    const settlement = withConsequences(fromReport(report, exitCode), run, report.resets_at, now, random);
    return withWarnings(settlement, report, now);
  }
  const { code, error } = judgeWithoutReport(end, run.stopReason);
  return withConsequences(failure(code, error, { exitCode, logs: end.logTail }), run, null, now, random);
}

/** The settlement of a run whose job could not be started. */
export function settlementOfLaunchFailure(
  run: SettledRun,
  failed: { code: LaunchFailureCode; message: string },
  now: Date,
  random: number,
): Settlement {
  return withConsequences(failure(failed.code, failed.message, { exitCode: null, logs: null }), run, null, now, random);
}

/** The settlement of a run that was stopped before it had a job. */
export function settlementOfUnlaunchedStop(run: SettledRun): Settlement {
  return failure("stopped", run.stopReason ?? "Stopped before it was launched.", { exitCode: null, logs: null });
}

/** Which code a phase's end stands for is decided; here is what follows for the task and the credential. */
function withConsequences(
  settlement: Settlement,
  run: SettledRun,
  resetsAt: number | null,
  now: Date,
  random: number,
): Settlement {
  if (settlement.failure_code === null) return settlement;
  if (settlement.failure_code === "usage_limit") {
    const until = blockedUntil(resetsAt, now, random).toISOString();
    return putBack({ ...settlement, blocked_until: until, blocked_reason: settlement.error }, "usage_limit", run.past);
  }
  if (settlement.failure_code === "api_overloaded") {
    return putBack(paused(settlement, run.past, now, random), "api_overloaded", run.past);
  }
  const kind = FAILURE_KINDS[settlement.failure_code];
  if (kind === "final") return settlement;
  const pause = retryPauseSeconds(run.retries, random);
  if (pause === null) {
    return { ...settlement, error: `${settlement.error ?? ""} (given up after ${run.retries + 1} attempts)`.trim() };
  }
  return { ...settlement, action: "requeue", retry_after_seconds: pause };
}

/** The task waits as long as its credential is blocked; unless it has done so too often, and for nothing. */
function putBack(settlement: Settlement, code: keyof typeof MOST_IN_A_ROW, past: Past | undefined): Settlement {
  const inARow = (past?.failuresInARow ?? 0) + 1;
  const hasDoneSomething = (settlement.output_tokens ?? 0) > 0;
  if (hasDoneSomething || inARow < MOST_IN_A_ROW[code]) {
    return { ...settlement, action: "requeue", retry_after_seconds: 0 };
  }
  return {
    ...settlement,
    error: `${settlement.error ?? ""} (given up: ${inARow} times in a row it got nothing done)`.trim(),
  };
}

/** The service is too busy: all that use the credential wait, a step longer each time that waiting was not enough. */
function paused(settlement: Settlement, past: Past | undefined, now: Date, random: number): Settlement {
  if (past?.isBlocked === true) return settlement;
  const overloads = (past?.overloadsInARow ?? 0) + 1;
  return {
    ...settlement,
    overloads_in_a_row: overloads,
    blocked_until: overloadedUntil(overloads, now, random).toISOString(),
    blocked_reason: settlement.error,
  };
}

/** What the service said besides of the credential, whatever became of the run. */
function withWarnings(settlement: Settlement, report: Report, now: Date): Settlement {
  const { warned_until: warned } = report;
  const warnedUntil = warned === null || warned * 1000 <= now.getTime() ? null : blockedUntil(warned, now, 0);
  const settled = { ...settlement, warned_until: warnedUntil?.toISOString() ?? null };
  return report.paid_usage ? { ...settled, blocked_until: "infinity", blocked_reason: PAID_USAGE } : settled;
}

const PAID_USAGE =
  "the account went on with paid extra usage. Switch that off at Claude, then clear blocked_until of this credential.";

function fromReport(report: Report, exitCode: number | null): Settlement {
  return {
    ...failure(null, report.error, { exitCode, logs: report.logs }),
    success: report.success,
    failure_code: report.success ? null : (report.code ?? "agent_error"),
    summary: report.summary,
    branch: report.branch,
    commit_sha: report.commit_sha,
    pull_request_url: report.pull_request_url,
    files_changed: report.files_changed,
    checks: report.checks,
    tasks: report.tasks,
    finish_epic: report.finish_epic,
    cost_usd: report.cost_usd,
    input_tokens: report.input_tokens,
    output_tokens: report.output_tokens,
    cache_read_tokens: report.cache_read_tokens,
    cache_creation_tokens: report.cache_creation_tokens,
    turns: report.turns,
    session_id: report.session_id,
    model: report.model,
    work_kept: report.work_kept,
  };
}

/** A settlement that completes the task and knows nothing of the agent. */
function failure(
  code: FailureCode | null,
  error: string | null,
  seen: { exitCode: number | null; logs: string | null },
): Settlement {
  return {
    action: "complete",
    success: false,
    failure_code: code,
    error,
    exit_code: seen.exitCode,
    logs: seen.logs,
    summary: null,
    branch: null,
    commit_sha: null,
    pull_request_url: null,
    files_changed: [],
    checks: null,
    tasks: [],
    finish_epic: null,
    cost_usd: null,
    input_tokens: null,
    output_tokens: null,
    cache_read_tokens: null,
    cache_creation_tokens: null,
    turns: null,
    session_id: null,
    model: null,
    work_kept: false,
    retry_after_seconds: null,
    blocked_until: null,
    blocked_reason: null,
    overloads_in_a_row: null,
    warned_until: null,
  };
}
