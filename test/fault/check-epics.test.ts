/** The judge of epics must see what it is there to see: each violation, in a history made up for it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { epicViolationsOf } from "./check-epics.ts";
import type { JudgedEpics } from "./check-epics.ts";
import type { EpicEvent, EpicRun, EpicState, EpicTask } from "./epic-witness.ts";
import type { JobRecord } from "./job-protocol.ts";

const T = 1_000_000;
const GREEN = "project-mgr-1";
const PLANNER = "00000000-0000-4000-8000-000000000001";

/** Things happen 10 s apart, each in a transaction of its own where nothing else is said. */
const when = (seq: number, xact = seq) => ({ seq, at: T + xact * 10_000, xact: `x${xact}` });

function state(seq: number, given: Partial<EpicState> = {}, xact = seq): EpicState {
  return {
    ...when(seq, xact),
    epic: "e",
    addressee: GREEN,
    state: "active",
    end_code: null,
    tasks: 0,
    runs: 0,
    tokens: 0,
    cost_usd: 0,
    stalls: 0,
    max_tasks: 10,
    max_tasks_per_run: 5,
    max_depth: 2,
    max_failures_in_a_row: 2,
    max_runs: 10,
    max_live_runs: 2,
    max_tokens: null,
    max_cost_usd: null,
    ...given,
  };
}

function task(id: string, seq: number, given: Partial<EpicTask> = {}, xact = seq): EpicTask {
  return {
    ...when(seq, xact),
    task: id,
    epic: "e",
    addressee: "worker-1",
    created_by_green: true,
    created_by: GREEN,
    child: null,
    depth: 1,
    kind: null,
    step: null,
    group: null,
    ...given,
  };
}

function started(id: string, run: string, seq: number): EpicEvent {
  return { ...when(seq), task: id, run, event: "started", from: "pending", to: "running", success: false, code: null };
}

function completed(id: string, run: string, seq: number, given: Partial<EpicEvent> = {}, xact = seq): EpicEvent {
  const event = { task: id, run, event: "completed", from: "running", to: "completed", success: true, code: null };
  return { ...when(seq, xact), ...event, ...given };
}

function run(id: string, ofTask: string, from: number, until: number): EpicRun {
  const times = { started_at: T + from * 10_000, finished_at: T + until * 10_000 };
  const rest = { settled: true, success: true, tokens: 5, cost_usd: 1, project: "p", repo_url: "r", paths: null };
  return { id, task: ofTask, epic: "e", addressee: "worker-1", ...times, ...rest };
}

function job(runId: string, taskId: string, given: Partial<JobRecord>): JobRecord {
  const times = { launchedAt: T, briefAt: T, deadAt: T };
  const report = { report: "acknowledged" as const, reportSuccess: true, reportCode: null };
  const end = { children: 0, removed: true, lateReportTaken: false };
  return { jobName: taskId, runId, taskId, addressee: GREEN, instance: 1, ...times, ...report, ...end, ...given };
}

/** Green creates two tasks, which end; it is woken with both and finishes. */
function rightHistory(): JudgedEpics {
  return {
    over: true,
    states: [
      state(1),
      state(6, { tasks: 2 }, 7),
      state(8, { tasks: 2, runs: 1, tokens: 5, cost_usd: 1 }, 7),
      state(22, { tasks: 2, runs: 2, tokens: 10, cost_usd: 2 }),
      state(32, { tasks: 2, runs: 3, tokens: 15, cost_usd: 3 }),
      state(50, { tasks: 2, runs: 3, tokens: 15, cost_usd: 3, state: "finished", end_code: "finished" }, 51),
      state(52, { tasks: 2, runs: 4, tokens: 20, cost_usd: 4, state: "finished", end_code: "finished" }, 51),
    ],
    tasks: [
      task("e", 2, { addressee: GREEN, created_by_green: false, created_by: "me", depth: 0 }),
      task("a", 4, { child: `${PLANNER} 0` }, 7),
      task("b", 5, { child: `${PLANNER} 1` }, 7),
      task("w", 21, { addressee: GREEN, created_by_green: false, created_by: "engine", kind: "wake_up", depth: 0 }, 20),
    ],
    events: [
      started("e", PLANNER, 3),
      completed("e", PLANNER, 7),
      started("a", "ra", 9),
      started("b", "rb", 10),
      completed("a", "ra", 20),
      completed("b", "rb", 30),
      started("w", "rw", 40),
      completed("w", "rw", 51),
    ],
    told: [
      { ...when(22, 20), wake_up: "w", task: "a" },
      { ...when(31, 30), wake_up: "w", task: "b" },
    ],
    refusals: [],
    runs: [run(PLANNER, "e", 3, 7), run("ra", "a", 9, 20), run("rb", "b", 10, 30), run("rw", "w", 40, 51)],
    jobs: [job(PLANNER, "e", { children: 2 }), job("rw", "w", { finishes: true })],
    projects: new Map([["p", [{ capacity: 2, from: -Infinity, until: Infinity }]]]),
  };
}

const at = <Thing>(list: readonly Thing[], place: number): Thing => list[place] as Thing;

describe("the judge of epics", () => {
  const cases: Record<string, { change: (history: JudgedEpics) => void; violation: RegExp }> = {
    "an epic that never ends": {
      change: (h) => h.states.splice(5, 2, state(52, { tasks: 2, runs: 4, tokens: 20, cost_usd: 4 }, 51)),
      violation: /epic e has not ended/,
    },
    "a reason that is none": {
      change: (h) => h.states.forEach((one) => one.end_code !== null && (one.end_code = "max_runs")),
      violation: /epic e is finished with max_runs, and that is not so/,
    },
    "a finish that nobody said": {
      change: (h) => (at(h.jobs, 1).finishes = null),
      violation: /epic e is finished with finished, and that is not so/,
    },
    "a finish that was not heard": {
      change: (h) => (at(h.jobs, 0).finishes = true),
      violation: new RegExp(`run ${PLANNER} finished epic e, which went on`),
    },
    "a result that nobody was told": {
      change: (h) => h.told.pop(),
      violation: /the result of task b was told to nobody/,
    },
    "a result of a group that nobody was told": {
      change: (h) => {
        at(h.tasks, 1).group = at(h.tasks, 2).group = PLANNER;
        h.told.shift();
      },
      violation: /the result of task a was told to nobody/,
    },
    "a result that was told twice": {
      change: (h) => h.told.push({ ...when(33), wake_up: "w2", task: "b" }),
      violation: /the result of task b was told in the wake-ups w and w2/,
    },
    "a result that joined a wake-up which runs already": {
      change: (h) => (at(h.events, 6).seq = 24),
      violation: /wake-up w never started after b joined it/,
    },
    "a result that went with a deleted wake-up": {
      change: (h) => {
        h.events.push({ ...completed("w", "rw", 35), event: "deleted", from: "pending", to: null });
        h.tasks.push(
          task("w2", 37, { addressee: GREEN, kind: "wake_up", created_by: "engine", created_by_green: false }),
        );
      },
      violation: /the result of task b went with the deleted wake-up w, and w2 did not tell it/,
    },
    "somebody woken for what has ended": {
      change: (h) => h.tasks.push(task("w3", 60, { kind: "wake_up", created_by: "engine", created_by_green: false })),
      violation: /wake-up w3 was made after the end of epic e/,
    },
    "a result told of what has ended": {
      change: (h) => h.told.push({ ...when(60), wake_up: "w", task: "a" }),
      violation: /the result of task a was told after the end of epic e/,
    },
    "a task that starts after the end": {
      change: (h) => h.events.push(started("b", "rx", 60)),
      violation: /task b started after the end of epic e \(finished\)/,
    },
    "a child that was not made": {
      change: (h) => (at(h.jobs, 0).children = 3),
      violation: new RegExp(`child ${PLANNER} 2 was made or refused 0 times, not 1`),
    },
    "a child that was made twice": {
      change: (h) => h.refusals.push({ child: `${PLANNER} 1` }),
      violation: new RegExp(`child ${PLANNER} 1 was made or refused 2 times, not 1`),
    },
    "a merge that nobody allowed": {
      change: (h) => {
        h.tasks.push(task("m", 6, { kind: "merge", child: `${PLANNER} 0` }));
        at(h.tasks, 1).kind = "approval";
        at(h.events, 4).success = false;
      },
      violation: /approval a became 1 merges, answered with yes 0 times/,
    },
    "spending that was counted twice": {
      change: (h) => (at(h.states, 6).runs = 5),
      violation: /epic e: its runs are 4, it has counted 5/,
    },
    "too many tasks": { change: (h) => h.states.forEach((one) => (one.max_tasks = 1)), violation: /it has 2 tasks/ },
    "too many tasks of one run": {
      change: (h) => h.states.forEach((one) => (one.max_tasks_per_run = 1)),
      violation: /made 2 tasks, max_tasks_per_run 1/,
    },
    "a task too deep": { change: (h) => (at(h.tasks, 1).depth = 3), violation: /task a has depth 3, max_depth 2/ },
    "an epic that goes on without runs": {
      change: (h) => h.states.forEach((one) => (one.max_runs = 2)),
      violation: /it went on after 2 runs with max_runs used up/,
    },
    "an epic that goes on without money": {
      change: (h) => h.states.forEach((one) => (one.max_cost_usd = 2)),
      violation: /with max_cost_usd used up/,
    },
    "an epic that goes on after its failures": {
      change: (h) => [4, 5].forEach((place) => (at(h.events, place).success = false)),
      violation: /it went on after 2 failures in a row of step null/,
    },
    "too many live runs": {
      change: (h) => h.states.forEach((one) => (one.max_live_runs = 1)),
      violation: /run rb is one of 2 live ones/,
    },
    "too many live runs of a project": {
      change: (h) => (h.projects = new Map([["p", [{ capacity: 1, from: -Infinity, until: Infinity }]]])),
      violation: /run rb is one of 2 of project p, limit 1/,
    },
    "two runs on one path": {
      change: (h) => {
        at(h.runs, 1).paths = ["src/web"];
        at(h.runs, 2).paths = ["src/"];
      },
      violation: /the runs ra and rb change the same path/,
    },
  };

  it("finds nothing in a history that is right", () => {
    assert.deepEqual(epicViolationsOf(rightHistory()), []);
  });

  for (const [name, { change, violation }] of Object.entries(cases)) {
    it(`finds ${name}`, () => {
      const history = rightHistory();
      change(history);
      assert.match(epicViolationsOf(history).join("\n"), violation);
    });
  }
});
