import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Observation } from "../../engine/domain/job.ts";
import { planReconcile } from "../../engine/domain/reconcile.ts";
import type { LiveRun } from "../../engine/domain/reconcile.ts";

const run: LiveRun = {
  id: "r",
  jobName: "j",
  host: "here",
  podName: "p",
  launched: true,
  stopRequested: false,
  waitingFor: null,
  reported: false,
  settledForMs: null,
};
const job: Observation = { runId: "r", jobName: "j", podName: "p", state: "running", phase: "agent", end: null };
const plan = (runs: LiveRun[], observations: Observation[], launching: string[] = []) =>
  planReconcile({ runs, observations, launching: new Set(launching), host: "here" }).map((action) => action.kind);

describe("the plan that brings runs and jobs together", () => {
  it("does nothing where both agree", () => assert.deepEqual(plan([run], [job]), []));
  it("settles an ended job", () => assert.deepEqual(plan([run], [{ ...job, state: "ended" }]), ["settle"]));
  it("settles a run whose job is gone", () => assert.deepEqual(plan([run], []), ["settle_missing"]));
  it("leaves a run without a job to the launch loop", () =>
    assert.deepEqual(plan([{ ...run, launched: false }], []), []));
  it("settles a run that was stopped before it had a job, unless it is being launched", () => {
    const stopped = { ...run, launched: false, stopRequested: true };
    assert.deepEqual(plan([stopped], []), ["settle_unlaunched"]);
    assert.deepEqual(plan([stopped], [], ["r"]), []);
  });
  it("adopts a job whose engine died before it could say so", () =>
    assert.deepEqual(plan([{ ...run, launched: false, podName: null }], [job]), ["mark_launched"]));
  it("leaves it to the launch itself to note a job", () =>
    assert.deepEqual(plan([{ ...run, launched: false, podName: null }], [job], ["r"]), []));
  it("stops a job that is to be stopped, again and again until it is gone", () =>
    assert.deepEqual(plan([{ ...run, stopRequested: true }], [job]), ["stop"]));
  it("settles from a stored report while the job is still ending, once", () => {
    const reported = { ...run, reported: true };
    assert.deepEqual(plan([reported], [job]), ["settle_report"]);
    assert.deepEqual(plan([{ ...reported, stopRequested: true, settledForMs: 10 }], [job]), []);
    assert.deepEqual(plan([{ ...reported, stopRequested: true, settledForMs: 10 }], [{ ...job, state: "ended" }]), [
      "settle",
    ]);
  });
  it("settles from a stored report what was launched and is gone before anybody noted it", () =>
    assert.deepEqual(plan([{ ...run, launched: false, reported: true, stopRequested: true }], []), ["settle_missing"]));
  it("stops a job that does not end by itself after its report", () =>
    assert.deepEqual(plan([{ ...run, reported: true, stopRequested: true, settledForMs: 61_000 }], [job]), ["stop"]));
  it("notes what a job waits for, and that it waits no more", () => {
    const waiting = { ...job, state: "starting" as const, waiting: "No node has room." };
    assert.deepEqual(plan([run], [waiting]), ["note_waiting"]);
    assert.deepEqual(plan([{ ...run, waitingFor: "No node has room." }], [waiting]), []);
    assert.deepEqual(plan([{ ...run, waitingFor: "No node has room." }], [job]), ["note_waiting"]);
  });
  it("ends a job without a live run", () => assert.deepEqual(plan([], [job]), ["end_orphan"]));
  it("judges no run of another host", () => assert.deepEqual(plan([{ ...run, host: "there" }], []), []));
});
