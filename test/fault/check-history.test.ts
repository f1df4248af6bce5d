/** The judge of the fault suite must see what it is there to see: each violation, in a history made up for it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { violationsOf } from "./check-history.ts";
import type { Filed } from "./filing.ts";
import type { EventRow, History, RunRow } from "./history.ts";
import type { JobRecord } from "./job-protocol.ts";

const T = 1_000_000;

function run(id: string, task_id: string, given: Partial<RunRow> = {}): RunRow {
  return {
    id,
    task_id,
    addressee: "worker",
    slot: 1,
    attempt: 1,
    epoch: 1,
    started_at: T,
    finished_at: T + 100,
    success: true,
    failure_code: null,
    stopping: false,
    ...given,
  };
}

function job(runId: string, taskId: string, given: Partial<JobRecord> = {}): JobRecord {
  return {
    jobName: `task-${taskId}`,
    runId,
    taskId,
    addressee: "worker",
    instance: 1,
    launchedAt: T,
    briefAt: T + 10,
    deadAt: T + 50,
    report: "acknowledged",
    reportSuccess: true,
    reportCode: null,
    children: 0,
    removed: true,
    lateReportTaken: false,
    ...given,
  };
}

function events(list: Omit<EventRow, "id" | "application">[]): EventRow[] {
  return list.map((event, index) => ({ id: index + 1, application: "myzel-engine a", ...event }));
}

const started = (task_id: string, run_id: string, at: number) => ({
  task_id,
  run_id,
  at,
  event: "started",
  from_status: "pending",
  to_status: "running",
});
const completed = (task_id: string, run_id: string, at: number) => ({
  task_id,
  run_id,
  at,
  event: "completed",
  from_status: "running",
  to_status: "completed",
});

function task(id: string, runId: string): History["tasks"][number] {
  const result = { success: true, attempt: 1, summary: `done by ${runId}` };
  return { id, addressee: "worker", status: "completed", result, prompt: "do it", key: 1 };
}

function filed(id: string, key: number): [string, Filed] {
  return [id, { id, placements: [{ addressee: "worker", key, from: T - 10_000, until: Infinity }] }];
}

/** Two tasks of one addressee, one after the other, as it should be. */
function rightHistory(): History {
  return {
    takenAt: T + 1_000,
    runs: [run("r1", "t1"), run("r2", "t2", { started_at: T + 200, finished_at: T + 300, epoch: 2 })],
    events: events([
      started("t1", "r1", T),
      completed("t1", "r1", T + 100),
      started("t2", "r2", T + 200),
      completed("t2", "r2", T + 300),
    ]),
    tasks: [task("t1", "r1"), task("t2", "r2")],
    jobs: [job("r1", "t1"), job("r2", "t2", { launchedAt: T + 200, briefAt: T + 210, deadAt: T + 250 })],
    filed: new Map([filed("t1", 1), filed("t2", 2)]),
    capacities: new Map(),
  };
}

describe("the judge of the fault suite", () => {
  const cases: Record<string, { change: (history: History) => void; violation: RegExp }> = {
    "a task that is gone": { change: (h) => h.tasks.pop(), violation: /task t2 is lost/ },
    "a running task without a run": {
      change: (h) => (h.tasks[1] = { ...task("t2", "r2"), status: "running", result: null }),
      violation: /running without a live run/,
    },
    "a change that continues nothing": {
      change: (h) => h.events.splice(1, 1),
      violation: /its last event left it running/,
    },
    "a task settled twice by one run": {
      change: (h) => h.events.push({ ...(h.events[1] as EventRow), id: 9 }),
      violation: /run r1 settled its task twice/,
    },
    "two successes of one filing": {
      change: (h) => h.runs.push(run("r3", "t1", { attempt: 2, started_at: T + 400, finished_at: T + 500, epoch: 2 })),
      violation: /t1 \(filing 1\) succeeded twice/,
    },
    "a result of another run": {
      change: (h) => (h.tasks[0] = task("t1", "r9")),
      violation: /the result of task t1 is not that of run r1/,
    },
    "a report that was overruled": {
      change: (h) => (h.jobs[0] = job("r1", "t1", { reportSuccess: false })),
      violation: /run r1 reported success false/,
    },
    "a success without a report": { change: (h) => h.jobs.shift(), violation: /run r1 succeeded without a report/ },
    "a report taken after the end": {
      change: (h) => (h.jobs[0] = job("r1", "t1", { lateReportTaken: true })),
      violation: /took a report after its end/,
    },
    "two jobs at work on one run": {
      change: (h) => h.jobs.push(job("r1", "t1", { instance: 2 })),
      violation: /two jobs worked on run r1/,
    },
    "a job that still works when its slot is given away": {
      change: (h) => (h.jobs[0] = job("r1", "t1", { deadAt: T + 220 })),
      violation: /claimed while r1 still worked/,
    },
    "two live runs at capacity 1": {
      change: (h) => (h.runs[0] = run("r1", "t1", { finished_at: T + 250 })),
      violation: /one of 2 live runs, capacity 1/,
    },
    "a younger task first": {
      change: (h) => (h.filed = new Map([filed("t1", 3), filed("t2", 2)])),
      violation: /task t1 \(run r1\) overtook t2/,
    },
    "a claim of a dead epoch": {
      change: (h) => (h.runs[1] = run("r2", "t2", { started_at: T + 200, finished_at: T + 300, epoch: 0 })),
      violation: /was claimed in epoch 0, after one of epoch 1/,
    },
    "a settle of a dead epoch": {
      change: (h) => (h.events[2] = { ...(h.events[2] as EventRow), application: "myzel-engine b" }),
      violation: /written by myzel-engine a after its successor/,
    },
  };

  it("finds nothing in a history that is right", () => {
    assert.deepEqual(violationsOf(rightHistory()), []);
  });

  for (const [name, { change, violation }] of Object.entries(cases)) {
    it(`finds ${name}`, () => {
      const history = rightHistory();
      change(history);
      assert.match(violationsOf(history).join("\n"), violation);
    });
  }
});
