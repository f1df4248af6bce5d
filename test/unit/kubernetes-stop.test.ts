import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { observeRun } from "../../engine/launch/kubernetes/observe-run.ts";
import { KEEP_LIMIT_MS, planStop } from "../../engine/launch/kubernetes/plan-stop.ts";
import { seenPod, type SeenContainer, type SeenPod } from "../../engine/launch/kubernetes/seen.ts";
import { container, endedWith, job, NOW, pod, SPEC } from "./kubernetes-support.ts";

const AGENT_RUNS = [...endedWith(0), container("agent", { state: "running" })];

const stepOf = (given: Partial<SeenPod>, run: Partial<Parameters<typeof planStop>[0]> = {}): string =>
  planStop({ runId: SPEC.runId, job: job(), pods: [pod(given)], ...run }, NOW, KEEP_LIMIT_MS).kind;

describe("a run that is to be stopped", () => {
  it("is deleted at once where no agent has begun", () => {
    const before: Record<string, Partial<SeenPod>> = {
      "no node has it": { nodeName: null, phase: "Pending" },
      "its image is being pulled": { phase: "Pending", containers: [container("checkout", {})] },
      "checkout runs": { containers: [container("checkout", { state: "running" }), container("agent", {})] },
      "checkout has ended": { containers: [...endedWith(0), container("agent", {})] },
    };
    for (const [when, given] of Object.entries(before)) assert.equal(stepOf(given), "delete", when);
    assert.equal(stepOf({}, { pods: [] }), "delete");
  });

  it("is asked once the agent has begun, and while publish is at work", () => {
    const states: Record<string, SeenContainer[]> = {
      "the agent runs": AGENT_RUNS,
      "publish is about to": [...endedWith(0, 0), container("publish", {})],
      "publish runs": [...endedWith(0, 0), container("publish", { state: "running" })],
    };
    for (const [when, containers] of Object.entries(states)) assert.equal(stepOf({ containers }), "ask", when);
  });

  it("is left alone for as long as it may keep, then deleted", () => {
    const asked = (agoMs: number) => stepOf({ containers: AGENT_RUNS, stopAskedAt: NOW - agoMs });
    assert.equal(asked(0), "wait");
    assert.equal(asked(KEEP_LIMIT_MS), "wait");
    assert.equal(asked(KEEP_LIMIT_MS + 1), "delete");
    assert.equal(asked(-KEEP_LIMIT_MS - 1), "delete", "a time far ahead does not hold the slot");
  });

  it("is not asked where somebody else is ending it", () => {
    const disruption = { reason: "DeletionByTaintManager", message: "" };
    assert.equal(stepOf({ containers: AGENT_RUNS, disruption }), "delete");
    assert.equal(stepOf({ containers: AGENT_RUNS, deletedAt: NOW - 1_000 }), "delete");
    assert.equal(stepOf({ containers: AGENT_RUNS }, { job: job({ deletedAt: NOW - 1_000 }) }), "delete");
    assert.equal(stepOf({ containers: AGENT_RUNS }, { job: null }), "delete");
  });

  it("is asked although an earlier pod of it has ended", () => {
    const pods = [pod({ uid: "earlier", phase: "Failed" }), pod({ containers: AGENT_RUNS })];
    assert.equal(stepOf({}, { pods }), "ask");
    assert.equal(stepOf({}, { pods: [pod({ uid: "other" }), pod({ containers: AGENT_RUNS })] }), "delete");
  });

  it("holds its slot while it keeps, and ends as stopped", () => {
    const observed = (given: Partial<SeenPod>) =>
      observeRun({ runId: SPEC.runId, job: job(), pods: [pod({ stopAskedAt: NOW, ...given })] }, NOW, {
        stuckAfterMs: 1_000,
      }).observation;
    assert.equal(observed({ containers: AGENT_RUNS }).state, "running");
    const kept = observed({ phase: "Succeeded", containers: endedWith(0, 0, 0) });
    assert.deepEqual([kept.state, kept.end?.stopped], ["ended", true]);
    assert.equal(observed({ phase: "Failed", containers: endedWith(0, 0, 21) }).end?.stopped, true);
  });

  it("is known to be asked by its pod's annotation; one that is no time counts as none", () => {
    const asked = (value: string): number | null =>
      seenPod({
        metadata: {
          uid: "u",
          name: "n",
          resourceVersion: "1",
          creationTimestamp: "2026-01-01T00:00:00Z",
          annotations: { "myzel.dev/stop": value },
        },
        spec: {},
      }).stopAskedAt;
    assert.equal(asked("2026-01-01T12:00:00.000Z"), NOW);
    assert.equal(asked("now"), null);
  });
});
