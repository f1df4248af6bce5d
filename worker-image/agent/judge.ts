/**
 * How an invocation of the CLI ended: from what it said and how its process ended to a verdict.
 *
 * Pure. The stream decides, never the exit code alone: any API error is `subtype: "success"` with
 * `is_error: true` and exit 1, an interrupted run may exit 0 (observed with Claude Code 2.1.329).
 */
import type { FailureCode } from "../contract.ts";
import type { StreamFacts } from "./stream-facts.ts";

/** Why the phase itself ended the CLI. `finished`: the grace time after its final message was over. */
export type EndedBy = "stopped" | "cost_guard" | "deadline" | "no_first_output" | "silence" | "finished";

export interface ProcessEnd {
  exitCode: number | null;
  signal: string | null;
  endedBy: EndedBy | null;
  /** The program could not be started at all: why. */
  startError: string | null;
  /** The end of standard error, masked. */
  stderrTail: string;
  /** The kernel killed a process of the container for want of memory meanwhile. */
  outOfMemory: boolean;
}

/** For the sentences only: the limits were applied by who ended the process. */
export interface Limits {
  timeLimitSeconds: number;
  firstOutputSeconds: number;
  silenceSeconds: number;
}

export interface Verdict {
  success: boolean;
  code: FailureCode | null;
  error: string | null;
  resetsAt: number | null;
}

const SUCCESS: Verdict = { success: true, code: null, error: null, resetsAt: null };

/** The verdict. A success with nothing to say, or one in which every action was denied, still is a success. */
export function judge(facts: StreamFacts, end: ProcessEnd, limits: Limits): Verdict {
  if (end.endedBy === "stopped") return failure("stopped", "The run was stopped.");
  const billed = billingProblem(facts);
  if (billed !== null) return failure("cost_guard", billed);
  if (facts.final !== null && !facts.wentOn) return judgeFinal(facts);
  switch (end.endedBy) {
    case "deadline":
      return failure("deadline_exceeded", `The agent did not end within ${limits.timeLimitSeconds} seconds.`);
    case "no_first_output":
      return failure("hung", `The agent gave no output in the first ${limits.firstOutputSeconds} seconds.`);
    case "silence":
      return failure("hung", `The agent gave no output for ${limits.silenceSeconds} seconds.`);
    default:
      if (end.outOfMemory) return failure("oom_killed", "The agent was killed for want of memory.");
      return failure("agent_error", withoutResult(end));
  }
}

/** A sentence when the stream shows that something other than the subscription pays; null while it does not. */
export function billingProblem(facts: StreamFacts): string | null {
  if (facts.apiKeySource !== null && facts.apiKeySource !== "none") {
    return `Claude Code took its credential from ${quoted(facts.apiKeySource)}, which bills the API instead of the subscription.`;
  }
  if (facts.foreignProvider !== null) {
    return `The model was served by ${quoted(facts.foreignProvider)}, which is billed apart from the subscription.`;
  }
  if (facts.usingOverage) return "The subscription's limit is used up and the account goes on with paid extra usage.";
  return null;
}

function judgeFinal(facts: StreamFacts): Verdict {
  const final = facts.final;
  if (final === null) return failure("agent_error", "The agent ended without a result.");
  if (final.subtype === "success" && !final.isError) return SUCCESS;
  const text = final.text ?? `The agent ended with ${quoted(final.subtype)}.`;
  if (final.subtype === "error_max_turns") return failure("max_turns", text);
  if (final.subtype === "error_max_budget_usd") return failure("cost_limit", text);
  if (isUsageLimit(facts)) return { ...failure("usage_limit", text), resetsAt: facts.limit?.resetsAt ?? null };
  if (/credit balance is too low/i.test(text)) return failure("cost_guard", text);
  if (isAuthFailure(final.apiErrorStatus, text)) return failure("auth_failed", text);
  if (isOverload(final, text)) return failure("api_overloaded", text);
  return failure("agent_error", text);
}

/** A plain 429 has a rejected event too, but without a reset time (observed with Claude Code 2.1.329). */
function isUsageLimit(facts: StreamFacts): boolean {
  const { final, limit } = facts;
  if (final?.apiError === "usage_limit_reached") return true;
  return final?.apiErrorStatus === 429 && limit?.status === "rejected" && limit.resetsAt !== null;
}

function isAuthFailure(status: number | null, text: string): boolean {
  if (status === 401 || status === 403) return true;
  return /^(Failed to authenticate|Not logged in|Your organization has disabled)|OAuth token (revoked|has expired)/i.test(
    text,
  );
}

const PASSING_ERRORS = new Set([
  "connection_failed",
  "stream_idle_timeout",
  "overloaded",
  "server_error",
  "rate_limit",
]);
const PASSING_TEXT =
  /^(API Error: )?(5\d\d\b|Server is temporarily limiting requests|Request timed out|Connection |The response stopped arriving|.*\bCan't reach the API server)|\bOverloaded\b/i;

function isOverload(final: NonNullable<StreamFacts["final"]>, text: string): boolean {
  if (final.terminalReason !== null && final.terminalReason !== "api_error") return false;
  if (final.apiErrorStatus === 429 || (final.apiErrorStatus ?? 0) >= 500) return true;
  if (final.apiErrorStatus !== null) return false;
  return PASSING_ERRORS.has(final.apiError ?? "") || PASSING_TEXT.test(text);
}

function withoutResult(end: ProcessEnd): string {
  if (end.startError !== null) return `Claude Code could not be started: ${end.startError}`;
  const how = end.signal === null ? `exit code ${end.exitCode}` : `signal ${end.signal}`;
  const said = end.stderrTail.trim().split("\n").at(-1)?.trim().slice(0, 500);
  return `Claude Code ended without a result (${how})${said ? `: ${said}` : "."}`;
}

function failure(code: FailureCode, error: string): Verdict {
  return { success: false, code, error: error.slice(0, 1000), resetsAt: null };
}

function quoted(name: string): string {
  return `"${name.slice(0, 80)}"`;
}
