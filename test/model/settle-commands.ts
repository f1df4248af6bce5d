/** What the engine does at the end of runs: one settled alone, several at once, one once more. */
import assert from "node:assert/strict";
import { command, pick } from "./command.ts";
import type { QueueCommand } from "./command.ts";
import { liveRuns } from "./model.ts";
import type { Child, Model, ModelRun } from "./model.ts";
import { settleAll } from "./settle-rules.ts";
import type { Settlement } from "./settle-rules.ts";

const SECOND_MS = 1000;

const CODES = {
  success: null,
  final: "agent_error",
  stopped: "stopped",
  infrastructure: "lost",
  usage_limit: "usage_limit",
  /** A success for which the account went on with paid extra usage. */
  paid: null,
} as const;
export type SettleKind = keyof typeof CODES;

export interface SettleArguments {
  run: number;
  kind: SettleKind;
  /** Of a failure of the infrastructure, and of a usage limit. */
  pauseMs: number;
  /** False: its report is in, its job is still ending. */
  jobEnded: boolean;
  cents: number;
  tokens: number;
  children: readonly Omit<Child, "prompt">[];
  /** Green's word that the epic is over, and with success or without. */
  finish: boolean | null;
  /** How long the service's warning of a usage limit holds. */
  warnedMs: number | null;
}

export const settle = (args: SettleArguments): QueueCommand => settleSeveral([args]);

/** In one call. A run that two of them name is settled by the first. */
export const settleSeveral = (several: readonly SettleArguments[]): QueueCommand =>
  command("settle", several, async (model, real) => {
    const live = liveRuns(model);
    const settlements: Settlement[] = [];
    for (const args of several) {
      const run = pick(live, args.run);
      if (run === undefined || settlements.some((other) => other.run === run)) continue;
      settlements.push(settlementOf(model, run, args));
    }
    if (settlements.length === 0) return;
    const answers = await real.settle(model.epoch, settlements.map(outcomeOf));
    const expected = settleAll(model, settlements);
    assert.deepEqual(
      answers,
      settlements.map(({ run }, index) => ({ run_id: run.id, answer: expected[index] })),
    );
  });

function settlementOf(model: Model, run: ModelRun, args: SettleArguments): Settlement {
  const { kind, pauseMs, warnedMs } = args;
  const requeue = kind === "infrastructure" || kind === "usage_limit";
  const blockedUntil = { usage_limit: model.now + pauseMs, paid: Infinity }[kind as string] ?? null;
  return {
    run,
    code: CODES[kind],
    requeue,
    jobEnded: args.jobEnded || requeue,
    retryMs: kind === "infrastructure" ? pauseMs : 0,
    used: { tokens: args.tokens, cents: args.cents },
    children: args.children.map((child) => ({ ...child, prompt: `do ${model.made++}` })),
    finish: args.finish,
    blockedUntil,
    warnedUntil: warnedMs === null ? null : model.now + warnedMs,
  };
}

/** As the settle loop says it to the database. */
function outcomeOf(settlement: Settlement): object {
  const { run, code, requeue, jobEnded, retryMs, used, children, finish, blockedUntil, warnedUntil } = settlement;
  const time = (at: number) => (at === Infinity ? "infinity" : new Date(at).toISOString());
  return {
    run_id: run.id,
    action: requeue ? "requeue" : "complete",
    success: code === null,
    failure_code: code,
    error: code === null ? null : "it failed",
    job_ended: jobEnded,
    retry_after_seconds: retryMs / SECOND_MS,
    cost_usd: used.cents / 100,
    input_tokens: used.tokens,
    tasks: children.map(({ together, ...child }) => ({
      ...child,
      branch: child.kind === "merge" ? "till" : null,
      wake: together ? "last" : "each",
    })),
    ...(finish === null ? {} : { finish_epic: { success: finish, summary: "So it is." } }),
    blocked_until: blockedUntil === null ? null : time(blockedUntil),
    warned_until: warnedUntil === null ? null : time(warnedUntil),
  };
}

export const settleAgain = (index: number): QueueCommand =>
  command("settleAgain", index, async (model, real) => {
    const run = pick(
      model.runs.filter((candidate) => !candidate.live),
      index,
    );
    if (run === undefined) return;
    const outcome = {
      run_id: run.id,
      action: "complete",
      success: true,
      blocked_until: "2199-01-01T00:00:00Z",
      warned_until: "2199-01-01T00:00:00Z",
      cost_usd: 1,
      tasks: [{ prompt: "x" }],
      finish_epic: { success: true, summary: "x" },
    };
    assert.deepEqual(await real.settle(model.epoch, [outcome]), [{ run_id: run.id, answer: "already" }]);
  });
