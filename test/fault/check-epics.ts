/** The invariants of epics, judged from what the suite's witness saw. Pure: returns a sentence for each violation. */
import { capacityAt } from "./check-history.ts";
import { limitsHold } from "./check-epic-limits.ts";
import { bookOf, endAfter, stateBefore, surelyActive } from "./epic-book.ts";
import type { EpicBook } from "./epic-book.ts";
import type { EpicEvent, EpicHistory, EpicRun, EpicState, EpicTask, Told } from "./epic-witness.ts";
import type { CapacitySpan } from "./hand-edits.ts";
import type { JobRecord } from "./job-protocol.ts";

export interface JudgedEpics extends EpicHistory {
  jobs: readonly JobRecord[];
  /** How many live runs a project may have had, when; a paused one: none. */
  projects: ReadonlyMap<string, readonly CapacitySpan[]>;
  /** Everything has come to its end: epics must have, too. */
  over: boolean;
}

/** What ends this close to the end of its epic may be owed or not. */
const SLACK_MS = 1_500;

/** Every violation of every invariant. */
export function epicViolationsOf(history: JudgedEpics): string[] {
  const book = bookOf(history);
  return [
    ...endedForAReason(history, book),
    ...toldOnce(history, book),
    ...toldAgain(history, book),
    ...nobodyWokenAfterTheEnd(history, book),
    ...nothingStartsAfterTheEnd(history, book),
    ...childrenOnce(history, book),
    ...finishesCount(history, book),
    ...limitsHold(history, book),
    ...projectsKeepTheirLimits(history),
    ...pathsApart(history.runs),
  ];
}

/** No epic is open at the end, and each end has the reason that it tells. */
function endedForAReason(history: JudgedEpics, book: EpicBook): string[] {
  const violations: string[] = [];
  for (const [epic, states] of book.statesOf) {
    const last = states.at(-1);
    if (history.over && last?.state === "active") violations.push(`epic ${epic} has not ended`);
    states.forEach((state, index) => {
      const begins = index === 0 || states[index - 1]?.state === "active";
      if (state.state === "active" || !begins || hasReason(history, book, state)) return;
      violations.push(`epic ${epic} is ${state.state} with ${state.end_code}, and that is not so: ${said(state)}`);
    });
  }
  return violations;
}

function said(state: EpicState): string {
  const { tasks, runs, tokens, cost_usd, stalls } = state;
  return JSON.stringify({ tasks, runs, tokens, cost_usd, stalls });
}

function hasReason({ jobs }: JudgedEpics, book: EpicBook, end: EpicState): boolean {
  const tasks = book.tasksOf.get(end.epic) ?? [];
  const own = tasks.filter((task) => task.addressee === end.addressee || task.task === end.epic);
  const byHand = own
    .flatMap((task) => book.eventsOf.get(task.task) ?? [])
    .filter((event) => event.seq < end.seq && ["stopped", "cancelled", "deleted"].includes(event.event));
  switch (end.end_code) {
    case "finished":
    case "gave_up": {
      const success = end.end_code === "finished";
      const ids = new Set(own.map((task) => task.task));
      return (
        !end.addressee.startsWith("project-mgr-") ||
        byHand.some((event) => event.success === success) ||
        jobs.some((job) => job.finishes === success && ids.has(job.taskId))
      );
    }
    case "stopped":
      return true; // stop_epic() leaves no other trace
    case "max_failures_in_a_row":
      return failuresOf(book, tasks) >= end.max_failures_in_a_row;
    case "max_runs":
      return end.runs >= end.max_runs;
    case "max_tokens":
      return end.tokens >= (end.max_tokens ?? Infinity);
    case "max_cost_usd":
      return end.cost_usd >= (end.max_cost_usd ?? Infinity);
    case "max_tasks":
      return end.tasks >= end.max_tasks;
    case "stalled":
      return end.stalls > end.max_failures_in_a_row;
    default:
      return end.end_code === "max_wall_time";
  }
}

function failuresOf(book: EpicBook, tasks: readonly EpicTask[]): number {
  return tasks
    .flatMap((task) => book.eventsOf.get(task.task) ?? [])
    .filter((event) => event.to === "completed" && !event.success && event.code !== "stopped").length;
}

/** What a Green asked for and what has ended is told to it: in one wake-up, which starts afterwards. */
function toldOnce(history: JudgedEpics, book: EpicBook): string[] {
  const tellings = Map.groupBy(history.told, (told) => told.task);
  const deleted = new Set(history.events.filter((event) => event.event === "deleted").map((event) => event.task));
  const violations: string[] = [];
  for (const task of history.tasks) {
    if (!task.created_by_green) continue;
    for (const { event, until } of completionsOf(book, task)) {
      const told = (tellings.get(task.task) ?? []).filter((one) => one.seq > event.seq && one.seq < until);
      const standing = [...new Set(told.map((one) => one.wake_up))].filter((wakeUp) => !deleted.has(wakeUp));
      if (standing.length > 1)
        violations.push(`the result of task ${task.task} was told in the wake-ups ${standing.join(" and ")}`);
      if (told.length === 0 && isOwed(book, task, event, until))
        violations.push(`the result of task ${task.task} was told to nobody`);
    }
  }
  const late = history.over ? history.told.filter((told) => !isRead(book, told)) : [];
  return [...violations, ...late.map((told) => `wake-up ${told.wake_up} never started after ${told.task} joined it`)];
}

/** What a wake-up was to tell that somebody deleted before it had ended is told by the next one. */
function toldAgain({ told, tasks }: JudgedEpics, book: EpicBook): string[] {
  return told.flatMap(({ wake_up, task, seq }) => {
    const wakeUp = book.tasks.get(wake_up);
    const events = book.eventsOf.get(wake_up) ?? [];
    const deleted = events.find((event) => event.event === "deleted" && event.from !== "completed");
    const sinceThen = (book.eventsOf.get(task) ?? []).some((event) => event.seq > seq);
    if (wakeUp === undefined || deleted === undefined || deleted.seq < seq || sinceThen) return [];
    const next = tasks.find(
      (one) =>
        one.kind === "wake_up" &&
        one.epic === wakeUp.epic &&
        one.addressee === wakeUp.addressee &&
        one.at > deleted.at + SLACK_MS,
    );
    const wasActive = surelyActive(book, wakeUp.epic, deleted);
    const again = told.some((one) => one.task === task && one.seq > deleted.seq);
    return next !== undefined && wasActive && !again
      ? [`the result of task ${task} went with the deleted wake-up ${wake_up}, and ${next.task} did not tell it`]
      : [];
  });
}

/** Each time the task ended, until it was run again or deleted. */
function completionsOf(book: EpicBook, task: EpicTask): { event: EpicEvent; until: number }[] {
  const events = book.eventsOf.get(task.task) ?? [];
  return events.flatMap((event, index) =>
    event.to === "completed" && event.from !== "completed"
      ? [{ event, until: events.slice(index + 1).find((later) => later.from === "completed")?.seq ?? Infinity }]
      : [],
  );
}

function isOwed(book: EpicBook, task: EpicTask, event: EpicEvent, until: number): boolean {
  if (!surelyActive(book, task.epic, event)) return false;
  if (task.kind === "approval" && event.success) return false; // it became the merge
  if (task.group === null || !event.success) return true;
  const end = endAfter(book, task.epic, event.seq);
  const limit = { seq: Math.min(until, end?.seq ?? Infinity), at: (end?.at ?? Infinity) - SLACK_MS };
  const others = (book.tasksOf.get(task.epic) ?? []).filter((one) => one.group === task.group && one !== task);
  return others.every((other) => {
    const last = (book.eventsOf.get(other.task) ?? []).findLast(({ seq }) => seq < limit.seq);
    return last !== undefined && last.at < limit.at && (last.to === "completed" || last.event === "deleted");
  });
}

/** The wake-up began after that, or somebody took it away. */
function isRead(book: EpicBook, { wake_up, seq }: Told): boolean {
  const after = ["started", "cancelled", "stopped", "deleted"];
  return (book.eventsOf.get(wake_up) ?? []).some((event) => event.seq > seq && after.includes(event.event));
}

function nobodyWokenAfterTheEnd({ tasks, told }: JudgedEpics, book: EpicBook): string[] {
  const wakeUps = tasks.filter((task) => task.kind === "wake_up");
  const ended = ({ epic, seq }: { epic: string; seq: number }): boolean =>
    (stateBefore(book, epic, seq)?.state ?? "active") !== "active";
  return [
    ...wakeUps.filter(ended).map((task) => `wake-up ${task.task} was made after the end of epic ${task.epic}`),
    ...told
      .map((one) => ({ ...one, epic: book.tasks.get(one.task)?.epic ?? "" }))
      .filter(ended)
      .map((one) => `the result of task ${one.task} was told after the end of epic ${one.epic}`),
  ];
}

/** Nothing of an ended epic starts, but what somebody runs again. */
function nothingStartsAfterTheEnd({ events }: JudgedEpics, book: EpicBook): string[] {
  return events.flatMap((event) => {
    const task = book.tasks.get(event.task);
    const state = task === undefined ? undefined : stateBefore(book, task.epic, event.seq);
    if (event.event !== "started" || state === undefined || state.state === "active") return [];
    const end = (book.statesOf.get(state.epic) ?? []).findLast(
      (one, index, all) => one.seq <= state.seq && all[index - 1]?.state === "active",
    );
    const again = (book.eventsOf.get(event.task) ?? []).some(
      (one) => one.event === "rescheduled" && one.seq > (end?.seq ?? 0) && one.seq < event.seq,
    );
    return again ? [] : [`task ${event.task} started after the end of epic ${state.epic} (${state.end_code})`];
  });
}

/** Each task that a run asked for is made once or refused once if the run succeeded and its task was its own, else neither. */
function childrenOnce({ jobs, tasks, events, refusals }: JudgedEpics, book: EpicBook): string[] {
  const settled = new Set(events.filter((one) => one.event === "completed" && one.success).map((one) => one.run));
  const made = Map.groupBy(
    tasks.filter((task) => task.child !== null),
    (task) => task.child,
  );
  const refused = Map.groupBy(refusals, (refusal) => refusal.child);
  const asked = new Set(jobs.flatMap((job) => (job.children === 0 ? [] : [job.runId])));
  const violations: string[] = [];
  for (const run of asked) {
    const count = Math.max(...jobs.filter((job) => job.runId === run).map((job) => job.children));
    for (let place = 0; place < count; place++) {
      const key = `${run} ${place}`;
      const mine = made.get(key) ?? [];
      const asks = mine.filter((task) => task.kind === "approval");
      const merges = asks.length === 0 ? [] : mine.filter((task) => task.kind === "merge");
      const found = mine.length - merges.length + (refused.get(key)?.length ?? 0);
      const wanted = settled.has(run) ? 1 : 0;
      if (found !== wanted) violations.push(`child ${key} was made or refused ${found} times, not ${wanted}`);
      violations.push(...asks.flatMap((ask) => mergesOf(book, ask, merges.length)));
    }
  }
  return violations;
}

/** A yes makes the merge once, a no never. */
function mergesOf(book: EpicBook, ask: EpicTask, merges: number): string[] {
  const yes = (book.eventsOf.get(ask.task) ?? []).filter((event) => event.to === "completed" && event.success);
  const sure = yes.some((event) => surelyActive(book, ask.epic, event));
  if (merges > 1 || (merges === 1 && yes.length === 0) || (merges === 0 && sure))
    return [`approval ${ask.task} became ${merges} merges, answered with yes ${yes.length} times`];
  return [];
}

/** A Green that says in a successful run that its epic is over has ended it. */
function finishesCount({ jobs, events }: JudgedEpics, book: EpicBook): string[] {
  const finishing = new Set(jobs.filter((job) => typeof job.finishes === "boolean").map((job) => job.runId));
  return events.flatMap((event) => {
    const task = book.tasks.get(event.task);
    if (task === undefined || event.event !== "completed" || !event.success || !finishing.has(event.run ?? ""))
      return [];
    const state = stateBefore(book, task.epic, event.seq);
    return state?.state === "active" && state.addressee === task.addressee
      ? [`run ${event.run} finished epic ${task.epic}, which went on`]
      : [];
  });
}

/** When a run is claimed, fewer runs of its project live than it may have: none while it is paused. */
function projectsKeepTheirLimits({ runs, projects }: JudgedEpics): string[] {
  const violations: string[] = [];
  for (const [project, spans] of projects) {
    const mine = runs.filter((run) => run.project === project);
    mine.forEach((run, index) => {
      const live = mine.slice(0, index).filter((other) => (other.finished_at ?? Infinity) > run.started_at).length;
      const limit = capacityAt(spans, run.started_at);
      if (live + 1 > limit)
        violations.push(`run ${run.id} is one of ${live + 1} of project ${project}, limit ${limit}`);
    });
  }
  return violations;
}

/** No two live runs of one repository have declared the same path, or one that holds the other's. */
function pathsApart(runs: readonly EpicRun[]): string[] {
  const declared = runs.filter((run) => run.paths !== null && run.repo_url !== null);
  return declared.flatMap((run, index) =>
    declared
      .slice(0, index)
      .filter((other) => other.repo_url === run.repo_url && (other.finished_at ?? Infinity) > run.started_at)
      .filter((other) => overlap(run.paths ?? [], other.paths ?? []))
      .map((other) => `the runs ${other.id} and ${run.id} change the same path at the same time`),
  );
}

function overlap(paths: readonly string[], others: readonly string[]): boolean {
  const plain = (path: string): string => `${path.replace(/\/?(\*.*)?$/, "")}/`;
  return paths.some((path) =>
    others.some((other) => plain(path).startsWith(plain(other)) || plain(other).startsWith(plain(path))),
  );
}
