import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { settlementOf } from "../../engine/domain/outcome.ts";
import { jobEnd } from "../../engine/domain/job.ts";
import { observeRun, type SeenRun } from "../../engine/launch/kubernetes/observe-run.ts";
import type { SeenContainer, SeenPod } from "../../engine/launch/kubernetes/seen.ts";
import { container, endedWith, job, NOW, pod, SPEC } from "./kubernetes-support.ts";

const PATIENCE = { stuckAfterMs: 300_000 };
const runOf = (given: Partial<SeenRun>): SeenRun => ({ runId: SPEC.runId, job: job(), pods: [], ...given });
const observe = (given: Partial<SeenRun>, now = NOW) => observeRun(runOf(given), now, PATIENCE);

const running = (phase: SeenContainer["phase"]) => container(phase, { state: "running" });
const failedJob = job({ finished: { as: "Failed", reason: "BackoffLimitExceeded", message: "" } });
const failedPod = (given: Partial<SeenPod>) => pod({ phase: "Failed", containers: endedWith(0, 137), ...given });
const deletedNow = { deletedAt: NOW - 36_000 };

describe("a run of which something may still be working holds its slot", () => {
  const alive: [string, Partial<SeenRun>, "starting" | "running", string | null][] = [
    ["its Job has no pod yet", {}, "starting", null],
    ["its pod is being prepared", { pods: [pod({ phase: "Pending" })] }, "starting", null],
    ["checkout runs", { pods: [pod({ containers: [running("checkout")] })] }, "running", "checkout"],
    ["the agent runs", { pods: [pod({ containers: [...endedWith(0), running("agent")] })] }, "running", "agent"],
    ["publish runs", { pods: [pod({ containers: [...endedWith(0, 0), running("publish")] })] }, "running", "publish"],
    ["one phase has ended and the next has not begun", { pods: [pod({ containers: endedWith(0) })] }, "running", null],
    ["no node has room", { pods: [pod({ phase: "Pending", nodeName: null, startedAt: null })] }, "starting", null],
    ["its Job is suspended", { job: job({ suspended: true }) }, "starting", null],
    ["its Job failed but the pod has not ended", { job: failedJob, pods: [pod({ ...deletedNow })] }, "starting", null],
    ["its pod is terminating", { pods: [pod({ ...deletedNow, containers: [running("agent")] })] }, "running", "agent"],
    ["its Job was deleted and its pod was not", { job: null, pods: [pod()] }, "starting", null],
    ["its Job is being deleted, and a pod may show", { job: job({ deletedAt: NOW - 1_000 }) }, "starting", null],
    [
      "its node is lost, and the pod's own deadline has not passed",
      { pods: [pod({ ...deletedNow, containers: [running("agent")] })] },
      "running",
      "agent",
    ],
    [
      "one of two pods has ended",
      { pods: [pod({ uid: "old", phase: "Failed" }), pod({ containers: [running("agent")] })] },
      "running",
      "agent",
    ],
  ];
  for (const [what, run, state, phase] of alive) {
    it(what, () => {
      const { observation, hopeless } = observe(run);
      assert.deepEqual([observation.state, observation.phase, observation.end, hopeless], [state, phase, null, null]);
    });
  }
});

describe("what an ended run comes to", () => {
  const cases: [string, Partial<SeenRun>, string | null][] = [
    ["checkout ended with 20", { pods: [failedPod({ containers: endedWith(20) })] }, "checkout_failed"],
    ["checkout ended with 21", { pods: [failedPod({ containers: endedWith(21) })] }, "lost"],
    ["checkout ended with 22", { pods: [failedPod({ containers: endedWith(22) })] }, "launch_failed"],
    ["checkout ended with 1", { pods: [failedPod({ containers: endedWith(1) })] }, "launch_failed"],
    ["the agent ended with 30", { pods: [failedPod({ containers: endedWith(0, 30) })] }, "cost_guard"],
    ["the agent ended with 31", { pods: [failedPod({ containers: endedWith(0, 31) })] }, "auth_failed"],
    ["the agent ended with 1", { pods: [failedPod({ containers: endedWith(0, 1) })] }, "no_report"],
    ["publish ended with 21", { pods: [failedPod({ containers: endedWith(0, 0, 21) })] }, "lost"],
    ["publish ended with 40", { pods: [failedPod({ containers: endedWith(0, 0, 40) })] }, "lost"],
    ["publish ended with 1", { pods: [failedPod({ containers: endedWith(0, 0, 1) })] }, "no_report"],
    ["a phase used too much memory", { pods: [failedPod({ containers: oomKilled(endedWith(0, 137)) })] }, "oom_killed"],
    ["the kubelet evicted it", { pods: [failedPod({ reason: "Evicted", message: "low on memory" })] }, "evicted"],
    ["the deadline passed", { pods: [failedPod({ reason: "DeadlineExceeded" })] }, "deadline_exceeded"],
    ["the node went down in good order", { pods: [failedPod({ reason: "Terminated" })] }, "evicted"],
    ["somebody drained the node", { pods: [failedPod(disruptedBy("EvictionByEvictionAPI"))] }, "evicted"],
    ["another pod needed the room", { pods: [failedPod(disruptedBy("PreemptionByScheduler"))] }, "evicted"],
    ["the node was deleted", { pods: [failedPod(disruptedBy("DeletionByPodGC"))] }, "node_lost"],
    ["the node was lost for minutes", { pods: [failedPod(disruptedBy("DeletionByTaintManager"))] }, "node_lost"],
    [
      "the node forgot a container",
      {
        pods: [
          failedPod({
            containers: [
              container("checkout", { state: "terminated", exitCode: 137, reason: "ContainerStatusUnknown" }),
            ],
          }),
        ],
      },
      "node_lost",
    ],
    ["the node had no room after all", { pods: [failedPod({ reason: "OutOfcpu", containers: [] })] }, "launch_failed"],
    ["the pod was deleted", { pods: [failedPod(deletedNow)] }, "job_deleted"],
    ["the pod was deleted before it had a node", { pods: [pod({ ...deletedNow, nodeName: null })] }, "job_deleted"],
    ["the pod was deleted and is gone", { job: failedJob }, "job_deleted"],
    ["the Job's deletion has left nothing", { job: job({ deletedAt: NOW - 60_000 }) }, "job_deleted"],
    [
      "the Job had a deadline of its own",
      { job: job({ finished: { as: "Failed", reason: "DeadlineExceeded", message: "" } }) },
      "deadline_exceeded",
    ],
    [
      "the Job is complete and left nothing",
      { job: job({ finished: { as: "Complete", reason: "", message: "" } }) },
      "lost",
    ],
    [
      "the launcher gave it up",
      {
        job: job({
          givenUp: JSON.stringify({ code: "image_pull_failed", error: "No image." }),
          finished: failedJob.finished,
        }),
      },
      "image_pull_failed",
    ],
  ];
  for (const [what, run, code] of cases) {
    it(`${what}: ${code}`, () => {
      const { observation } = observe(run);
      assert.equal(observation.state, "ended");
      assert.equal(codeOf(observation.end), code);
    });
  }

  it("all phases that ended are told, with their exit codes and last words", () => {
    const [checkout, agent] = endedWith(0, 31);
    const containers = [checkout, { ...agent, message: "No login." }] as SeenContainer[];
    assert.deepEqual(observe({ pods: [failedPod({ containers })] }).observation.end?.phases, [
      { phase: "checkout", exitCode: 0, signal: null, message: null },
      { phase: "agent", exitCode: 31, signal: null, message: "No login." },
    ]);
  });

  it("a run that has done its work is completed, whatever became of the pod afterwards", () => {
    const pods = [
      pod({ phase: "Succeeded", containers: endedWith(0, 0, 0), deletedAt: NOW, ...disruptedBy("DeletionByPodGC") }),
    ];
    const { observation } = observe({ pods });
    assert.deepEqual(observation.end, jobEnd({ phases: observation.end?.phases ?? [] }));
    assert.equal(observation.end?.phases.length, 3);
  });

  it("a phase that failed by itself is not blamed on a deletion that came later", () => {
    const pods = [failedPod({ containers: endedWith(20), deletedAt: NOW })];
    assert.equal(codeOf(observe({ pods }).observation.end), "checkout_failed");
  });

  it("the pod's end is enough: nobody waits for the Job to say so", () => {
    const pods = [pod({ phase: "Succeeded", containers: endedWith(0, 0, 0) })];
    assert.equal(observe({ pods }).observation.state, "ended");
  });

  it("a silent node loses its run once deadline, grace and two minutes have passed, and not before", () => {
    const pods = [pod({ containers: [running("agent")], deletedAt: NOW })];
    const over = NOW - 50_000 + 9_000_000 + 30_000 + 120_000;
    assert.equal(observe({ pods }, over).observation.state, "running");
    const { observation } = observe({ pods }, over + 1);
    assert.deepEqual([observation.state, codeOf(observation.end)], ["ended", "node_lost"]);
  });
});

describe("a run that cannot begin", () => {
  const stuck = (reason: string, given: Partial<SeenPod> = {}) => ({
    pods: [pod({ phase: "Pending", containers: [container("checkout", { reason, message: "not found" })], ...given })],
  });
  const long = { startedAt: NOW - 300_001 };

  it("says what it waits for", () => {
    assert.match(
      observe(stuck("ImagePullBackOff")).observation.waiting ?? "",
      /image of checkout .*ImagePullBackOff: not found/,
    );
    assert.match(observe(stuck("CreateContainerConfigError")).observation.waiting ?? "", /checkout cannot be started/);
    assert.match(observe({ job: job({ suspended: true }) }).observation.waiting ?? "", /suspended/);
    const pods = [pod({ phase: "Pending", nodeName: null, unschedulable: "0/3 nodes are available" })];
    assert.match(observe({ pods }).observation.waiting ?? "", /No node has room .*0\/3/);
  });

  it("is given up after the set time where its image or configuration is missing", () => {
    assert.equal(observe(stuck("ImagePullBackOff")).hopeless, null);
    assert.equal(observe(stuck("ImagePullBackOff", long)).hopeless?.code, "image_pull_failed");
    assert.equal(observe(stuck("ErrImagePull", long)).hopeless?.code, "image_pull_failed");
    assert.equal(observe(stuck("InvalidImageName", long)).hopeless?.code, "image_pull_failed");
    assert.equal(observe(stuck("CreateContainerConfigError", long)).hopeless?.code, "launch_failed");
    assert.equal(observe(stuck("CreateContainerError", long)).hopeless?.code, "launch_failed");
  });

  it("is given time for each phase: the agent's wait begins when checkout has ended", () => {
    const containers = [...endedWith(0), container("agent", { reason: "ImagePullBackOff" })];
    assert.equal(observe({ pods: [pod({ ...long, containers })] }).hopeless, null);
  });

  it("waits for ever where only room is missing, and holds its slot until its pod is gone", () => {
    const pods = [
      pod({
        phase: "Pending",
        nodeName: null,
        startedAt: null,
        createdAt: 0,
        deadlineMs: Infinity,
        unschedulable: "full",
      }),
    ];
    assert.deepEqual([observe({ pods }).observation.state, observe({ pods }).hopeless], ["starting", null]);
    const seen = observe(stuck("ImagePullBackOff", { ...long, deletedAt: NOW - 1_000 }));
    assert.deepEqual([seen.observation.state, seen.hopeless], ["starting", null]);
  });
});

function codeOf(end: ReturnType<typeof observe>["observation"]["end"]): string | null {
  assert.ok(end);
  return settlementOf({ retries: 0, stopReason: null, report: null }, end, new Date(NOW), 0).failure_code;
}

function oomKilled(containers: SeenContainer[]): SeenContainer[] {
  return containers.map((one) => (one.exitCode === 137 ? { ...one, reason: "OOMKilled" } : one));
}

function disruptedBy(reason: string): Partial<SeenPod> {
  return { disruption: { reason, message: "" }, deletedAt: NOW - 36_000 };
}
