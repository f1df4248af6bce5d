/** The limits of epics, counted again from what the suite's witness saw. Pure. */
import { surelyActive } from "./epic-book.ts";
import type { EpicBook } from "./epic-book.ts";
import type { EpicHistory, EpicRun, EpicState, EpicTask } from "./epic-witness.ts";

/** Failures and successes of one step that end this close to each other may be counted in either order. */
const SLACK_MS = 500;

/** Every limit of every epic, and that what was spent was counted once. */
export function limitsHold({ runs }: EpicHistory, book: EpicBook): string[] {
  const runsOf = Map.groupBy(runs, (run) => run.epic ?? "");
  return [...book.statesOf].flatMap(([epic, states]) => {
    const last = states.at(-1);
    if (last === undefined) return [];
    const tasks = book.tasksOf.get(epic) ?? [];
    const mine = runsOf.get(epic) ?? [];
    const problems = [
      ...countedOnce(last, tasks, mine),
      ...tasksWithin(states, tasks),
      ...goesOnExhausted(states),
      ...failuresInARow(book, states, tasks),
      ...liveWithin(states, mine),
    ];
    return problems.map((problem) => `epic ${epic}: ${problem}`);
  });
}

/** Tasks that runs asked for and got: an approval and the merge that it becomes are one. */
function asked(tasks: readonly EpicTask[]): EpicTask[] {
  const approvals = new Set(tasks.filter((task) => task.kind === "approval").map((task) => task.child));
  return tasks.filter((task) => task.child !== null && !(task.kind === "merge" && approvals.has(task.child)));
}

function countedOnce(last: EpicState, tasks: readonly EpicTask[], runs: readonly EpicRun[]): string[] {
  const settled = runs.filter((run) => run.settled);
  const counts: Record<string, [number, number]> = {
    tasks: [last.tasks, asked(tasks).length],
    runs: [last.runs, settled.length],
  };
  if (settled.every((run) => run.finished_at !== null)) {
    // a run tells what it cost when it has ended
    counts["tokens"] = [last.tokens, settled.reduce((sum, run) => sum + run.tokens, 0)];
    counts["cost_usd"] = [last.cost_usd, settled.reduce((sum, run) => sum + run.cost_usd, 0)];
  }
  return Object.entries(counts).flatMap(([what, [said, found]]) =>
    Math.abs(said - found) > 0.000_01 ? [`its ${what} are ${found}, it has counted ${said}`] : [],
  );
}

/** How many tasks, how many of one run, how deep: an operator may have raised the limit, never lowered it. */
function tasksWithin(states: readonly EpicState[], tasks: readonly EpicTask[]): string[] {
  const most = (limit: "max_tasks" | "max_tasks_per_run" | "max_depth"): number =>
    Math.max(...states.map((state) => state[limit]));
  const made = asked(tasks);
  const ofARun = Map.groupBy(made, (task) => task.child?.split(" ")[0]);
  return [
    ...(made.length > most("max_tasks") ? [`it has ${made.length} tasks, max_tasks ${most("max_tasks")}`] : []),
    ...[...ofARun]
      .filter(([, list]) => list.length > most("max_tasks_per_run"))
      .map(([run, list]) => `run ${run} made ${list.length} tasks, max_tasks_per_run ${most("max_tasks_per_run")}`),
    ...made
      .filter((task) => task.depth > most("max_depth"))
      .map((task) => `task ${task.task} has depth ${task.depth}, max_depth ${most("max_depth")}`),
  ];
}

/** The transaction that spends the last of a limit ends the epic. */
function goesOnExhausted(states: readonly EpicState[]): string[] {
  return states.flatMap((state, index) => {
    const before = states[index - 1];
    const isLast = states[index + 1]?.xact !== state.xact;
    if (!isLast || state.state !== "active" || before === undefined || state.runs === firstOf(states, state).runs)
      return [];
    const used = [
      state.runs >= state.max_runs ? "max_runs" : null,
      state.tokens >= (state.max_tokens ?? Infinity) ? "max_tokens" : null,
      state.cost_usd >= (state.max_cost_usd ?? Infinity) ? "max_cost_usd" : null,
    ].filter((limit) => limit !== null);
    return used.map((limit) => `it went on after ${state.runs} runs with ${limit} used up`);
  });
}

/** How it was before the transaction of this state. */
function firstOf(states: readonly EpicState[], { xact, seq }: EpicState): EpicState {
  return states.findLast((one) => one.seq < seq && one.xact !== xact) ?? (states[0] as EpicState);
}

/** So many failures of one step end it. Steps that somebody ran again, or deleted from, are left out. */
function failuresInARow(book: EpicBook, states: readonly EpicState[], tasks: readonly EpicTask[]): string[] {
  const counted = tasks.filter(
    (task) => !["approval", "question", "wake_up"].includes(task.kind ?? "") && task.task !== task.epic,
  );
  const most = Math.max(...states.map((state) => state.max_failures_in_a_row));
  return [...Map.groupBy(counted, (task) => task.step)].flatMap(([step, ofStep]) => {
    const greens = new Set(ofStep.filter((task) => task.created_by_green).map((task) => task.task));
    const events = ofStep.flatMap((task) => book.eventsOf.get(task.task) ?? []).toSorted((a, b) => a.seq - b.seq);
    if (events.some((event) => event.event === "rescheduled" || event.event === "deleted")) return [];
    const ends = events.filter((event) => event.to === "completed" && event.from !== "completed");
    let inARow = 0;
    return ends.flatMap((event) => {
      if (event.code === "stopped") return [];
      inARow = event.success ? 0 : inARow + 1;
      const close = ends.some((other) => other.success && Math.abs(other.at - event.at) < SLACK_MS);
      if (inARow < most || close || !greens.has(event.task) || !surelyActive(book, ofStep[0]?.epic ?? "", event))
        return [];
      return [`it went on after ${inARow} failures in a row of step ${step}, max_failures_in_a_row ${most}`];
    });
  });
}

function liveWithin(states: readonly EpicState[], runs: readonly EpicRun[]): string[] {
  const most = Math.max(...states.map((state) => state.max_live_runs));
  return runs.flatMap((run, index) => {
    const live = runs.slice(0, index).filter((other) => (other.finished_at ?? Infinity) > run.started_at).length;
    const state = states.findLast((one) => one.at < run.started_at);
    return live + 1 > most && state?.state === "active"
      ? [`run ${run.id} is one of ${live + 1} live ones, max_live_runs ${most}`]
      : [];
  });
}
