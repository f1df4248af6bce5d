import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hungFailure, isSuspect, judgeSilence } from "../../engine/domain/silence.ts";
import type { FreshLook } from "../../engine/domain/silence.ts";

const MINUTE = 60_000;

describe("a run whose log has fallen silent", () => {
  it("is a suspect only when the watchdog inside had its limit, and a margin", () => {
    const limitMs = 30 * MINUTE;
    assert.equal(isSuspect({ silentMs: limitMs, limitMs }), false);
    assert.equal(isSuspect({ silentMs: limitMs + 5 * MINUTE, limitMs }), false);
    assert.equal(isSuspect({ silentMs: limitMs + 5 * MINUTE + 1, limitMs }), true);
    assert.equal(isSuspect({ silentMs: 2_001, limitMs: 1_000 }, 1_000), true);
    assert.equal(isSuspect({ silentMs: 1e12, limitMs: Infinity }), false);
  });

  const hangs: FreshLook = {
    log: "silent",
    lastPhase: "agent",
    observation: { state: "running", phase: "agent" },
  };
  const cases: [string, Partial<FreshLook>, string][] = [
    ["its agent said nothing, over a new connection too", {}, "hung"],
    ["it had spoken, and only the connection was dead", { log: "spoke" }, "alive"],
    ["its log cannot be read: that proves nothing", { log: "unreadable" }, "unknown"],
    ["checkout may clone for long", { observation: { state: "running", phase: "checkout" } }, "alive"],
    ["publish may push for long", { observation: { state: "running", phase: "publish" } }, "alive"],
    ["the silence was that of checkout: the agent has only begun", { lastPhase: "checkout" }, "alive"],
    ["nothing of it was heard by this engine", { lastPhase: null }, "alive"],
    ["it is between two phases", { observation: { state: "running", phase: null } }, "alive"],
    ["it has ended meanwhile", { observation: { state: "ended", phase: null } }, "alive"],
    ["it is gone", { observation: undefined }, "alive"],
  ];
  for (const [what, look, judgement] of cases) {
    it(`${what}: ${judgement}`, () => assert.equal(judgeSilence({ ...hangs, ...look }), judgement));
  }

  it("is settled as hung, with how long it was silent", () => {
    const { code, error } = hungFailure({ silentMs: 35 * MINUTE + 1, limitMs: 30 * MINUTE });
    assert.equal(code, "hung");
    assert.match(error, /printed nothing for 35 minutes.*limit is 1800 seconds/);
    assert.match(hungFailure({ silentMs: 4_200, limitMs: 1_000 }).error, /for 4 seconds/);
  });
});
