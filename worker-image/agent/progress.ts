/**
 * What a run has used and reached over all invocations of the CLI. Pure.
 */
import type { BriefProfile, Outcome } from "../contract.ts";
import { firstBytes, lastBytes } from "./bounded-text.ts";
import type { ProcessEnd, Verdict } from "./judge.ts";
import { NO_FACTS, type StreamFacts, type Usage } from "./stream-facts.ts";

const SUMMARY_BYTES = 16 * 2 ** 10;

/** Bound of `Outcome.logs`. */
export const LOGS_BYTES = 8 * 2 ** 10;

export interface Progress {
  usage: Usage;
  /** Used by the invocations before, where the CLI will not count it in again. */
  usageBefore: Usage;
  turns: number;
  sessionId: string | null;
  model: string | null;
  /** As the service has said, in any of the invocations. */
  warnedUntil: number | null;
  paidUsage: boolean;
  /** The last final message that is no error. */
  summary: string | null;
  checks: Outcome["checks"];
}

export function noProgress(): Progress {
  return {
    usage: NO_FACTS.usage,
    usageBefore: NO_FACTS.usage,
    turns: 0,
    sessionId: null,
    model: null,
    warnedUntil: null,
    paidUsage: false,
    summary: null,
    checks: null,
  };
}

/**
 * The progress after one more invocation. A resumed session counts cost and tokens on, but only where
 * the invocation before could store them, that is, ended by itself; turns begin at 0 again (observed
 * with Claude Code 2.1.329).
 */
export function afterRun(before: Progress, facts: StreamFacts, end: ProcessEnd): Progress {
  const usage = addUsage(before.usageBefore, facts.final === null ? facts.usageHeard : facts.usage);
  return {
    ...before,
    usage,
    usageBefore: end.exitCode === 0 ? before.usageBefore : usage,
    turns: before.turns + (facts.final === null ? facts.turnsHeard : facts.turns),
    sessionId: facts.sessionId ?? before.sessionId,
    model: facts.model ?? before.model,
    warnedUntil: facts.warnedUntil ?? before.warnedUntil,
    paidUsage: before.paidUsage || facts.usingOverage,
    summary: (facts.final?.isError === false && facts.final.text?.trim()) || before.summary,
  };
}

/** The limits of the next invocation, for turns and cost count over all of them. Both are positive, or `exhausted`. */
export function whatIsLeft(profile: Pick<BriefProfile, "max_turns" | "max_cost_usd">, progress: Progress) {
  const maxTurns = profile.max_turns === null ? null : profile.max_turns - progress.turns;
  const maxCostUsd = profile.max_cost_usd === null ? null : profile.max_cost_usd - progress.usage.cost_usd;
  return { maxTurns, maxCostUsd, exhausted: (maxTurns ?? 1) <= 0 || (maxCostUsd ?? 1) <= 0 };
}

/** The outcome in the contract's words; `said` is the end of what was said. */
export function outcomeOf(progress: Progress, verdict: Verdict, said: string): Outcome {
  return {
    success: verdict.success,
    code: verdict.code,
    error: verdict.error,
    summary: progress.summary === null ? null : firstBytes(progress.summary, SUMMARY_BYTES),
    logs: verdict.success ? null : lastBytes(said, LOGS_BYTES),
    ...progress.usage,
    turns: progress.turns,
    session_id: progress.sessionId,
    model: progress.model,
    resets_at: verdict.resetsAt,
    warned_until: progress.warnedUntil,
    paid_usage: progress.paidUsage,
    checks: progress.checks,
  };
}

function addUsage(a: Usage, b: Usage): Usage {
  return {
    cost_usd: a.cost_usd + b.cost_usd,
    input_tokens: a.input_tokens + b.input_tokens,
    output_tokens: a.output_tokens + b.output_tokens,
    cache_read_tokens: a.cache_read_tokens + b.cache_read_tokens,
    cache_creation_tokens: a.cache_creation_tokens + b.cache_creation_tokens,
  };
}
