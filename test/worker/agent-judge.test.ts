/** The verdict on a stream, case by case (as observed with Claude Code 2.1.329). */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FailureCode } from "../../worker-image/contract.ts";
import { type EndedBy, type ProcessEnd, judge } from "../../worker-image/agent/judge.ts";
import { afterRun, noProgress, outcomeOf } from "../../worker-image/agent/progress.ts";
import { NO_FACTS, type StreamFacts, reduceFacts } from "../../worker-image/agent/stream-facts.ts";

const LIMITS = { timeLimitSeconds: 60, firstOutputSeconds: 5, silenceSeconds: 10 };
const INIT = { type: "system", subtype: "init", session_id: "s-1", model: "claude-sonnet-5-5", apiKeySource: "none" };
const SUCCESS = {
  type: "result",
  subtype: "success",
  is_error: false,
  terminal_reason: "completed",
  result: "All done",
  session_id: "s-1",
  num_turns: 2,
  total_cost_usd: 0.0008,
  api_error_status: null,
  modelUsage: {
    a: {
      inputTokens: 200,
      outputTokens: 40,
      cacheReadInputTokens: 3,
      cacheCreationInputTokens: 4,
      provider: "firstParty",
    },
    b: {
      inputTokens: 10,
      outputTokens: 1,
      cacheReadInputTokens: 0,
      cacheCreationInputTokens: 0,
      provider: "firstParty",
    },
  },
  permission_denials: [],
};

function factsOf(...lines: unknown[]): StreamFacts {
  return lines.reduce<StreamFacts>(reduceFacts, NO_FACTS);
}

function ended(end: Partial<ProcessEnd> = {}): ProcessEnd {
  return { exitCode: 0, signal: null, endedBy: null, startError: null, stderrTail: "", outOfMemory: false, ...end };
}

function apiFailure(result: string, fields: Record<string, unknown> = {}): unknown {
  return { ...SUCCESS, is_error: true, terminal_reason: "api_error", result, ...fields };
}

const failed = ended({ exitCode: 1 });
const rejected = (resetsAt?: number) => ({
  type: "rate_limit_event",
  rate_limit_info: { status: "rejected", isUsingOverage: false, ...(resetsAt === undefined ? {} : { resetsAt }) },
});

const CASES: [name: string, lines: unknown[], end: ProcessEnd, code: FailureCode | null][] = [
  ["success", [INIT, SUCCESS], ended(), null],
  ["success of which every action was denied", [INIT, { ...SUCCESS, permission_denials: [{}, {}] }], ended(), null],
  ["success without text", [INIT, { ...SUCCESS, result: "" }], ended(), null],
  ["success, then killed in its grace time", [INIT, SUCCESS], ended({ exitCode: 143, endedBy: "finished" }), null],
  ["success, then an exit code of 1", [INIT, SUCCESS], failed, null],
  ["success just before the deadline", [INIT, SUCCESS], ended({ exitCode: 143, endedBy: "deadline" }), null],
  [
    "turns exceeded",
    [
      INIT,
      {
        ...SUCCESS,
        subtype: "error_max_turns",
        is_error: true,
        result: undefined,
        errors: ["Reached maximum number of turns (2)"],
      },
    ],
    failed,
    "max_turns",
  ],
  [
    "budget exceeded",
    [
      INIT,
      { ...SUCCESS, subtype: "error_max_budget_usd", is_error: true, errors: ["Reached maximum budget ($0.0009)"] },
    ],
    failed,
    "cost_limit",
  ],
  [
    "error during execution",
    [INIT, { ...SUCCESS, subtype: "error_during_execution", is_error: true, terminal_reason: "aborted_tools" }],
    ended(),
    "agent_error",
  ],
  ["not logged in", [INIT, apiFailure("Not logged in · Please run /login")], failed, "auth_failed"],
  [
    "401",
    [INIT, apiFailure("Failed to authenticate. API Error: 401 x", { api_error_status: 401 })],
    failed,
    "auth_failed",
  ],
  [
    "403",
    [INIT, apiFailure("Failed to authenticate. API Error: 403 x", { api_error_status: 403 })],
    failed,
    "auth_failed",
  ],
  [
    "403, organization",
    [INIT, apiFailure("Your organization has disabled Claude subscription access for Claude Code · x")],
    failed,
    "auth_failed",
  ],
  [
    "token revoked",
    [INIT, apiFailure("Failed to authenticate: OAuth token revoked. Please log in again")],
    failed,
    "auth_failed",
  ],
  ["400", [INIT, apiFailure("API Error: 400 bad", { api_error_status: 400 })], failed, "agent_error"],
  [
    "400 that mentions a 529",
    [INIT, apiFailure("API Error: 400 messages: Overloaded", { api_error_status: 400 })],
    failed,
    "agent_error",
  ],
  [
    "prompt too long",
    [INIT, apiFailure("Prompt is too long", { terminal_reason: "prompt_too_long", api_error_status: 400 })],
    failed,
    "agent_error",
  ],
  [
    "credit balance too low",
    [INIT, apiFailure("Credit balance is too low", { api_error_status: 400 })],
    failed,
    "cost_guard",
  ],
  [
    "404",
    [INIT, apiFailure("There's an issue with the selected model (x).", { api_error_status: 404 })],
    failed,
    "agent_error",
  ],
  [
    "413",
    [INIT, apiFailure("Request too large (max 32MB).", { api_error_status: 413, terminal_reason: "image_error" })],
    failed,
    "agent_error",
  ],
  [
    "plain 429",
    [
      INIT,
      rejected(),
      apiFailure("API Error: Server is temporarily limiting requests (not your usage limit)", {
        api_error_status: 429,
      }),
    ],
    failed,
    "api_overloaded",
  ],
  [
    "usage limit",
    [
      INIT,
      rejected(1795232657),
      apiFailure("You've hit your 5-hour limit · resets 3:44am (UTC)", {
        api_error_status: 429,
        api_error: "usage_limit_reached",
      }),
    ],
    failed,
    "usage_limit",
  ],
  [
    "usage limit without the hint",
    [INIT, rejected(1795232657), apiFailure("You've hit your weekly limit", { api_error_status: 429 })],
    failed,
    "usage_limit",
  ],
  ["a rejected event and a success after it", [INIT, rejected(1795232657), SUCCESS], ended(), null],
  ["500", [INIT, apiFailure("API Error: 500 x", { api_error_status: 500 })], failed, "api_overloaded"],
  ["529", [INIT, apiFailure("API Error: 529 Overloaded.", { api_error_status: 529 })], failed, "api_overloaded"],
  [
    "529 in mid-stream",
    [INIT, apiFailure("API Error: 529 Overloaded. x", { api_error_status: null })],
    failed,
    "api_overloaded",
  ],
  [
    "connection refused",
    [INIT, apiFailure("API Error: Connection refused — x (ECONNREFUSED)", { api_error: "connection_failed" })],
    failed,
    "api_overloaded",
  ],
  [
    "no such host",
    [INIT, apiFailure("API Error: x Can't reach the API server — x (EAI_AGAIN)")],
    failed,
    "api_overloaded",
  ],
  [
    "time-out",
    [INIT, apiFailure("Request timed out. No data arrived for more than 5 minutes.")],
    failed,
    "api_overloaded",
  ],
  [
    "stream idle",
    [INIT, apiFailure("API Error: The response stopped arriving.", { api_error: "stream_idle_timeout" })],
    failed,
    "api_overloaded",
  ],
  [
    "max_tokens",
    [
      INIT,
      apiFailure("API Error: Claude's response exceeded the 128000 output token maximum.", {
        api_error: "max_output_tokens",
      }),
    ],
    failed,
    "agent_error",
  ],
  ["refusal", [INIT, apiFailure("API Error: m's safeguards flagged this message")], failed, "agent_error"],
  ["no result, exit 0", [INIT], ended(), "agent_error"],
  ["no line at all, exit 1", [], ended({ exitCode: 1, stderrTail: "Error: --mcp-config bad\n" }), "agent_error"],
  ["not started", [], ended({ exitCode: null, startError: "claude was not found" }), "agent_error"],
  ["SIGKILL from outside", [INIT], ended({ exitCode: null, signal: "SIGKILL" }), "agent_error"],
  ["SIGKILL for memory", [INIT], ended({ exitCode: null, signal: "SIGKILL", outOfMemory: true }), "oom_killed"],
  [
    "killed in the turn after a success",
    [INIT, SUCCESS, INIT, { type: "assistant" }],
    ended({ exitCode: 137 }),
    "agent_error",
  ],
  [
    "a failure after a success",
    [INIT, SUCCESS, INIT, apiFailure("API Error: 529 Overloaded.", { api_error_status: 529 })],
    failed,
    "api_overloaded",
  ],
  [
    "a success after a failure",
    [INIT, apiFailure("API Error: 529 Overloaded.", { api_error_status: 529 }), INIT, SUCCESS],
    ended(),
    null,
  ],
  ["key from elsewhere", [{ ...INIT, apiKeySource: "ANTHROPIC_API_KEY" }, SUCCESS], ended(), "cost_guard"],
  ["another provider", [INIT, { ...SUCCESS, modelUsage: { a: { provider: "bedrock" } } }], ended(), "cost_guard"],
  [
    "paid extra usage",
    [INIT, { type: "rate_limit_event", rate_limit_info: { status: "rejected", isUsingOverage: true } }, SUCCESS],
    ended(),
    "cost_guard",
  ],
  [
    "extra usage switched off is no error",
    [INIT, { type: "rate_limit_event", rate_limit_info: { status: "allowed", overageStatus: "rejected" } }, SUCCESS],
    ended(),
    null,
  ],
];

for (const [name, lines, end, code] of CASES) {
  test(`${name}: ${code ?? "success"}`, () => {
    const verdict = judge(factsOf(...lines), end, LIMITS);
    assert.equal(verdict.code, code, verdict.error ?? "");
    assert.equal(verdict.success, code === null);
    assert.equal(verdict.error === null, code === null);
  });
}

for (const [endedBy, code] of [
  ["stopped", "stopped"],
  ["deadline", "deadline_exceeded"],
  ["no_first_output", "hung"],
  ["silence", "hung"],
] satisfies [EndedBy, FailureCode][]) {
  test(`ended for ${endedBy} without a result: ${code}`, () => {
    assert.equal(judge(factsOf(INIT), ended({ exitCode: 143, endedBy }), LIMITS).code, code);
  });
}

test("the reset time is that of the last event, in epoch seconds", () => {
  const lines = [INIT, rejected(1795232657), apiFailure("x", { api_error: "usage_limit_reached" })];
  assert.equal(judge(factsOf(...lines), failed, LIMITS).resetsAt, 1795232657);
  assert.equal(judge(factsOf(INIT, lines[2]), failed, LIMITS).resetsAt, null);
});

test("tokens are those of all models, and lines of any shape are taken", () => {
  const odd = [null, 1, "x", [], {}, { type: "result_" }, { type: "rate_limit_event" }, { type: "system", subtype: 3 }];
  const facts = factsOf(...odd, INIT, SUCCESS, ...odd);
  assert.deepEqual(facts.usage, {
    cost_usd: 0.0008,
    input_tokens: 210,
    output_tokens: 41,
    cache_read_tokens: 3,
    cache_creation_tokens: 4,
  });
  assert.equal(facts.turns, 2);
  assert.equal(facts.sessionId, "s-1");
  assert.doesNotThrow(() =>
    factsOf({ type: "result", modelUsage: { a: null, b: 3 }, errors: [1, "e"], total_cost_usd: "x" }),
  );
});

test("an invocation without a result counts turns and tokens by its messages, each once", () => {
  const line = (id: string, parent: string | null) => ({
    type: "assistant",
    parent_tool_use_id: parent,
    message: { id, usage: { input_tokens: 10, output_tokens: 2, cache_read_input_tokens: 1 } },
  });
  const facts = factsOf(INIT, line("a", null), line("a", null), line("b", "toolu_1"), line("c", null));
  assert.equal(facts.turnsHeard, 2);
  assert.equal(facts.usageHeard.input_tokens, 30);
  const progress = afterRun(noProgress(), facts, ended({ exitCode: 143 }));
  assert.deepEqual([progress.turns, progress.usage.output_tokens, progress.usage.cache_read_tokens], [2, 6, 3]);
});

test("cost of a resumed session is counted once, and summed where the invocation before was killed", () => {
  const first = factsOf(INIT, SUCCESS);
  const again = factsOf(INIT, { ...SUCCESS, total_cost_usd: 0.0012, num_turns: 1 });
  const resumed = afterRun(afterRun(noProgress(), first, ended()), again, ended());
  assert.equal(resumed.usage.cost_usd, 0.0012);
  assert.equal(resumed.turns, 3);
  const afterKill = afterRun(afterRun(noProgress(), first, ended({ exitCode: 143 })), again, ended());
  assert.equal(afterKill.usage.cost_usd, 0.002);
});

test("what the service says of the account is in the outcome: the latest warning, and paid extra usage", () => {
  const event = (info: object) => ({ type: "rate_limit_event", rate_limit_info: info });
  const outcomeAfter = (...events: object[]) => {
    const facts = factsOf(INIT, ...events.map(event), SUCCESS);
    return outcomeOf(afterRun(noProgress(), facts, ended()), judge(facts, ended(), LIMITS), "");
  };
  const warning = (resetsAt: number) => ({ status: "allowed_warning", resetsAt, isUsingOverage: false });
  const warned = outcomeAfter(warning(200), warning(100), { status: "allowed", resetsAt: 300 });
  assert.deepEqual([warned.success, warned.warned_until, warned.paid_usage], [true, 200, false]);
  assert.equal(outcomeAfter({ status: "allowed", resetsAt: 300 }).warned_until, null);
  const paid = outcomeAfter({ status: "rejected", resetsAt: 300, isUsingOverage: true });
  assert.deepEqual([paid.code, paid.paid_usage], ["cost_guard", true]);
});
