import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EXIT } from "../../worker-image/contract.ts";
import type { Report } from "../../worker-image/contract.ts";
import { jobEnd } from "../../engine/domain/job.ts";
import type { JobEnd, PhaseEnd } from "../../engine/domain/job.ts";
import { settlementOf, settlementOfLaunchFailure } from "../../engine/domain/outcome.ts";
import type { Past } from "../../engine/domain/outcome.ts";
import { FAILURE_KINDS } from "../../engine/domain/failure-codes.ts";
import { blockedUntil, overloadedUntil, retryPauseSeconds } from "../../engine/domain/retry.ts";

const NOW = new Date("2026-01-01T00:00:00Z");
const report: Report = {
  success: true,
  code: null,
  error: null,
  summary: "done",
  logs: null,
  cost_usd: 1,
  turns: 2,
  input_tokens: 3,
  output_tokens: 4,
  cache_read_tokens: 5,
  cache_creation_tokens: 6,
  session_id: "s",
  model: "m",
  resets_at: null,
  warned_until: null,
  paid_usage: false,
  checks: null,
  branch: "b",
  commit_sha: "c",
  files_changed: ["f"],
  pull_request_url: null,
  work_kept: false,
  tasks: [],
  finish_epic: null,
};
const run = { retries: 0, stopReason: null, report: null };
const end = jobEnd({ logTail: "tail" });
const phase = (name: PhaseEnd["phase"], exitCode: number | null, message: string | null = null): JobEnd => ({
  ...end,
  phases: [{ phase: name, exitCode, signal: exitCode === null ? "SIGKILL" : null, message }],
});
const codeOf = (seen: JobEnd, of: Partial<typeof run> = {}) =>
  settlementOf({ ...run, ...of }, seen, NOW, 0).failure_code;

describe("what an ended job comes to", () => {
  it("a stored report decides, whatever became of the job", () => {
    for (const seen of [
      end,
      { ...end, gone: "vanished" as const },
      { ...end, stopped: true },
      phase("publish", 1),
      { ...end, deadlineExceeded: true },
    ]) {
      const settled = settlementOf({ ...run, report }, seen, NOW, 0);
      assert.deepEqual([settled.success, settled.action, settled.commit_sha], [true, "complete", "c"]);
    }
  });

  it("a report that publish could not store decides too", () => {
    assert.equal(settlementOf(run, { ...end, spooledReport: report }, NOW, 0).success, true);
  });

  it("a failed report without a code is an agent error", () => {
    assert.equal(codeOf(end, { report: { ...report, success: false } } as never), "agent_error");
  });

  const cases: [string, JobEnd, string][] = [
    ["stopped", { ...end, stopped: true }, "stopped"],
    ["passed its deadline", { ...end, deadlineExceeded: true }, "deadline_exceeded"],
    ["out of memory", { ...end, outOfMemory: true }, "oom_killed"],
    ["its job was deleted", { ...end, gone: "deleted" }, "job_deleted"],
    ["its supervisor died", { ...end, gone: "vanished" }, "lost"],
    ["no phase ran", end, "lost"],
    ["checkout had no repository", phase("checkout", EXIT.checkoutFailed), "checkout_failed"],
    ["checkout could not reach the database", phase("checkout", EXIT.databaseUnreachable), "launch_failed"],
    ["checkout was turned away", phase("checkout", EXIT.fenced), "lost"],
    ["checkout crashed", phase("checkout", 1), "launch_failed"],
    ["checkout was killed", phase("checkout", null), "launch_failed"],
    ["the cost guard refused", phase("agent", EXIT.costGuard), "cost_guard"],
    ["no credential", phase("agent", EXIT.noCredential), "auth_failed"],
    ["agent crashed", phase("agent", 1), "no_report"],
    ["agent was killed", phase("agent", null), "no_report"],
    ["between agent and publish", phase("agent", 0), "lost"],
    ["publish was turned away", phase("publish", EXIT.fenced), "lost"],
    ["publish's report is gone", phase("publish", EXIT.reportSpooled), "lost"],
    ["publish crashed", phase("publish", 1), "no_report"],
    ["publish said nothing", phase("publish", 0), "no_report"],
  ];
  for (const [what, seen, code] of cases) {
    it(`${what} → ${code}`, () => assert.equal(codeOf(seen), code));
  }

  it("the phase's own sentence is the error, and the log's end is kept", () => {
    const settled = settlementOf(
      run,
      { ...phase("agent", EXIT.costGuard, "ANTHROPIC_API_KEY is set."), logTail: "tail" },
      NOW,
      0,
    );
    assert.deepEqual(
      [settled.error, settled.logs, settled.exit_code],
      ["ANTHROPIC_API_KEY is set.", "tail", EXIT.costGuard],
    );
  });
});

describe("what follows of a failure", () => {
  it("infrastructure repeats with growing pauses, the first within 5 seconds, up to a limit", () => {
    const pauses = [0, 1, 2, 3, 4, 5].map((retries) => retryPauseSeconds(retries, 0));
    assert.ok((pauses[0] ?? 99) <= 5);
    assert.deepEqual(
      pauses.slice(0, 5),
      pauses.slice(0, 5).toSorted((a, b) => (a ?? 0) - (b ?? 0)),
    );
    assert.equal(pauses[5], null);
    const lost = { ...end, gone: "vanished" as const };
    assert.equal(settlementOf(run, lost, NOW, 0).action, "requeue");
    const spent = settlementOf({ ...run, retries: 5 }, lost, NOW, 0);
    assert.equal(spent.action, "complete");
    assert.match(spent.error ?? "", /given up after 6 attempts/);
  });

  it("a usage limit puts the task back and blocks the credential until a little after the stated reset", () => {
    const resets = NOW.getTime() / 1000 + 3600;
    const limited = settlementOf(
      { ...run, report: { ...report, success: false, code: "usage_limit", error: "5-hour limit", resets_at: resets } },
      end,
      NOW,
      0.5,
    );
    assert.deepEqual(
      [limited.action, limited.retry_after_seconds, limited.blocked_reason],
      ["requeue", 0, "5-hour limit"],
    );
    const until = new Date(limited.blocked_until ?? 0).getTime() / 1000;
    assert.ok(until > resets && until < resets + 60);
  });

  const ended = (code: string, more: Partial<Report> = {}, past: Partial<Past> = {}) =>
    settlementOf(
      {
        ...run,
        report: { ...report, success: false, code: code as never, error: "Too much.", output_tokens: 0, ...more },
        past: { failuresInARow: 0, overloadsInARow: 0, isBlocked: false, ...past },
      },
      end,
      NOW,
      0,
    );
  const secondsUntil = (time: string | null) => (new Date(time ?? 0).getTime() - NOW.getTime()) / 1000;

  it("the third usage limit in a row in which nothing got done ends the task, and still blocks the credential", () => {
    assert.equal(ended("usage_limit", {}, { failuresInARow: 1 }).action, "requeue");
    const third = ended("usage_limit", {}, { failuresInARow: 2 });
    assert.deepEqual([third.action, third.success], ["complete", false]);
    assert.match(third.error ?? "", /^Too much\. \(given up: 3 times in a row it got nothing done\)$/);
    assert.ok(third.blocked_until);
    assert.equal(ended("usage_limit", { output_tokens: 1 }, { failuresInARow: 9 }).action, "requeue", "something done");
  });

  it("an overload pauses the credential in growing steps, and the task waits with it", () => {
    const pauses = [0, 1, 2, 3, 4, 5, 6].map((overloadsInARow) => {
      const settled = ended("api_overloaded", {}, { overloadsInARow });
      assert.deepEqual([settled.action, settled.retry_after_seconds], ["requeue", 0]);
      assert.deepEqual([settled.overloads_in_a_row, settled.blocked_reason], [overloadsInARow + 1, "Too much."]);
      return secondsUntil(settled.blocked_until);
    });
    assert.deepEqual(pauses, [30, 60, 120, 300, 600, 1200, 1200]);
    assert.equal(overloadedUntil(1, NOW, 0.99).getTime() > NOW.getTime() + 30_000, true, "jitter only lengthens");
    const meanwhile = ended("api_overloaded", {}, { overloadsInARow: 3, isBlocked: true });
    assert.deepEqual([meanwhile.blocked_until, meanwhile.overloads_in_a_row], [null, null], "one step a pause");
    assert.equal(ended("api_overloaded", {}, { failuresInARow: 19 }).action, "complete");
    assert.equal(ended("api_overloaded", { output_tokens: 5 }, { failuresInARow: 19 }).action, "requeue");
  });

  it("paid extra usage blocks the credential until a person clears it", () => {
    const settled = ended("cost_guard", { paid_usage: true });
    assert.deepEqual([settled.action, settled.blocked_until], ["complete", "infinity"]);
    assert.match(settled.blocked_reason ?? "", /paid extra usage.*clear blocked_until/);
    assert.equal(ended("cost_guard").blocked_until, null, "what else the guard finds is no fault of the credential");
  });

  it("the warning of a limit is passed on, whatever became of the run, unless it is over", () => {
    const resets = NOW.getTime() / 1000 + 600;
    assert.equal(secondsUntil(ended("agent_error", { warned_until: resets }).warned_until), 605);
    const well = settlementOf({ ...run, report: { ...report, warned_until: resets } }, end, NOW, 0);
    assert.equal(secondsUntil(well.warned_until), 605);
    assert.equal(ended("agent_error", { warned_until: NOW.getTime() / 1000 - 1 }).warned_until, null);
  });

  it("that work was kept is told in the settlement", () => {
    assert.equal(ended("max_turns", { work_kept: true }).work_kept, true);
  });

  it("a reset that is unknown or past still blocks, so that no retry storm begins", () => {
    for (const resets of [null, 0, NOW.getTime() / 1000 - 10]) {
      assert.ok(blockedUntil(resets, NOW, 0).getTime() >= NOW.getTime() + 60_000);
    }
    assert.ok(blockedUntil(1e12, NOW, 0).getTime() < NOW.getTime() + 9 * 86_400_000, "and not for ever");
  });

  it("a final failure completes the task", () => {
    for (const [code, kind] of Object.entries(FAILURE_KINDS)) {
      const settled = settlementOf({ ...run, report: { ...report, success: false, code: code as never } }, end, NOW, 0);
      assert.equal(settled.action, kind === "final" ? "complete" : "requeue", code);
    }
  });

  it("a launch that failed is repeated", () => {
    const settled = settlementOfLaunchFailure(run, { code: "launch_failed", message: "no" }, NOW, 0);
    assert.deepEqual([settled.action, settled.failure_code], ["requeue", "launch_failed"]);
  });
});
