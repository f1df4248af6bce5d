/**
 * The invariants of the queue, judged from a history. Pure: returns a sentence for each violation.
 *
 * Where a witness cannot be exact (a commit is a little later than the time its row carries), the check
 * is lenient by SLACK_MS and never wrong the other way.
 */
import type { EventRow, History, RunRow } from "./history.ts";
import type { JobRecord } from "./job-protocol.ts";

/** Longer than any claim takes from its first look to its last row. */
const SLACK_MS = 500;

type Check = (history: History) => string[];

const CHECKS: readonly Check[] = [
  nothingLost,
  everyChangeContinuesTheLast,
  settledOnce,
  oneSuccessAFiling,
  resultsAreTheirRuns,
  reportsDecide,
  oneJobWorksARun,
  withinCapacity,
  oldestFirst,
  epochsNeverMix,
];

/** Every violation of every invariant. */
export function violationsOf(history: History): string[] {
  return CHECKS.flatMap((check) => check(history));
}

/** Every task that was filed is there, or was deleted; what runs has a live run. */
function nothingLost({ filed, tasks, events, runs }: History): string[] {
  const there = new Set(tasks.map((task) => task.id));
  const deleted = new Set(events.filter((event) => event.event === "deleted").map((event) => event.task_id));
  const live = new Set(runs.filter((run) => run.finished_at === null && !run.stopping).map((run) => run.task_id));
  const lost = [...filed.keys()].filter((id) => !there.has(id) && !deleted.has(id));
  const orphaned = tasks.filter((task) => task.status === "running" && !live.has(task.id));
  return [
    ...lost.map((id) => `task ${id} is lost`),
    ...orphaned.map((task) => `task ${task.id} is running without a live run`),
  ];
}

/** No update was lost or came from a status that was not there. */
function everyChangeContinuesTheLast({ events, tasks }: History): string[] {
  const status = new Map<string, string | null>();
  const violations: string[] = [];
  for (const { id, task_id, event, from_status, to_status } of events) {
    if (event === "child_refused") continue; // nothing became of the task itself
    const before = status.get(task_id) ?? "pending";
    if (from_status !== before)
      violations.push(`event ${id} of ${task_id}: ${event} from ${from_status}, was ${before}`);
    status.set(task_id, event === "deleted" ? "deleted" : to_status);
  }
  for (const { id, status: now } of tasks) {
    const last = status.get(id) ?? "pending";
    if (last !== now) violations.push(`task ${id} is ${now}, its last event left it ${last}`);
  }
  return violations;
}

/** A run settles its task at most once. */
function settledOnce({ events }: History): string[] {
  const settled = events.filter((event) => event.event === "completed" || event.event === "requeued");
  return repeated(settled.map((event) => event.run_id ?? "none")).map((id) => `run ${id} settled its task twice`);
}

/** Between two hand-made reschedulings of a task at most one of its runs succeeds. */
function oneSuccessAFiling({ events, runs }: History): string[] {
  const filings = groupBy(
    events.filter((event) => event.event === "rescheduled"),
    (event) => event.task_id,
  );
  const keys = runs
    .filter((run) => run.success === true)
    .map((run) => {
      const before = (filings.get(run.task_id) ?? []).filter((event) => event.at < run.started_at).length;
      return `${run.task_id} (filing ${before + 1})`;
    });
  return repeated(keys).map((key) => `task ${key} succeeded twice`);
}

/** What a run settled is what its task says. */
function resultsAreTheirRuns({ events, tasks, runs }: History): string[] {
  const last = new Map(events.map((event) => [event.task_id, event]));
  const runOf = new Map(runs.map((run) => [run.id, run]));
  return tasks.flatMap((task) => {
    const event = last.get(task.id);
    if (task.status !== "completed" || event?.event !== "completed") return [];
    const run = runOf.get(event.run_id ?? "");
    const right =
      run !== undefined &&
      // settled from its report, the job still ending: the run itself says nothing yet
      (run.success === null || task.result?.success === run.success) &&
      task.result?.attempt === run.attempt &&
      (task.result?.success !== true || task.result.summary === `done by ${run.id}`);
    const told = JSON.stringify({ result: task.result, run });
    return right ? [] : [`the result of task ${task.id} is not that of run ${event.run_id}: ${told}`];
  });
}

/** A report that was stored decides its run; no run succeeds without one; none is taken after the end. */
function reportsDecide({ jobs, runs }: History): string[] {
  const jobsOf = groupBy(jobs, (job) => job.runId);
  const late = jobs.filter((job) => job.lateReportTaken).map((job) => `run ${job.runId} took a report after its end`);
  const wrong = runs.flatMap((run) => {
    if (run.finished_at === null) return [];
    const mine = jobsOf.get(run.id) ?? [];
    const sure = mine.find((job) => job.report === "acknowledged" || job.report === "spooled");
    if (sure !== undefined && sure.reportSuccess !== run.success) {
      return [
        `run ${run.id} reported success ${sure.reportSuccess} (${sure.report}), settled ${run.success} ${run.failure_code}`,
      ];
    }
    const reported = mine.some((job) => job.reportSuccess === true && job.report !== "refused");
    return run.success === true && !reported ? [`run ${run.id} succeeded without a report`] : [];
  });
  return [...late, ...wrong];
}

/** The fence lets one job of a run work, whatever was launched twice, and every job that works has a run. */
function oneJobWorksARun({ jobs, runs, takenAt }: History): string[] {
  const working = jobs.filter((job) => (job.briefAt ?? Infinity) < takenAt).map((job) => job.runId);
  const known = new Set(runs.map((run) => run.id));
  return [
    ...repeated(working).map((id) => `two jobs worked on run ${id}`),
    ...working.filter((id) => !known.has(id)).map((id) => `a job worked on run ${id}, which is not known`),
  ];
}

/**
 * When a run is claimed, fewer runs of its addressee live than its capacity then was: by the database's own
 * times, and by what really worked.
 */
function withinCapacity({ runs, jobs, capacities }: History): string[] {
  const jobsOf = groupBy(jobs, (job) => job.runId);
  const violations: string[] = [];
  for (const [addressee, mine] of groupBy(runs, (run) => run.addressee)) {
    const spans = capacities.get(addressee) ?? [];
    mine.forEach((run, index) => {
      const earlier = mine.slice(0, index);
      const live = earlier.filter((other) => (other.finished_at ?? Infinity) > run.started_at);
      const working = earlier.filter((other) => endOfWork(jobsOf.get(other.id) ?? []) > run.started_at);
      const capacity = spans.length === 0 ? 1 : capacityAt(spans, run.started_at);
      if (live.length + 1 > capacity)
        violations.push(`${addressee}: run ${run.id} is one of ${live.length + 1} live runs, capacity ${capacity}`);
      if (working.length + 1 > capacity) {
        violations.push(
          `${addressee}: run ${run.id} was claimed while ${working.map((other) => other.id).join(", ")} still worked, capacity ${capacity}`,
        );
      }
    });
  }
  return violations;
}

/** The largest that it may have been; edits and claims that crossed are given the benefit of the doubt. */
export function capacityAt(spans: readonly { capacity: number; from: number; until: number }[], at: number): number {
  const possible = spans.filter((span) => span.from - SLACK_MS <= at && span.until + SLACK_MS >= at);
  return Math.max(...possible.map((span) => span.capacity));
}

/** When the last of a run's jobs that worked was dead. */
function endOfWork(jobs: readonly JobRecord[]): number {
  return Math.max(-Infinity, ...jobs.filter((job) => job.briefAt !== null).map((job) => job.deadAt ?? Infinity));
}

interface Waiting {
  taskId: string;
  key: number;
  from: number;
  until: number;
}

/** Whoever is claimed is the oldest of its addressee among those that were certainly pending and visible. */
function oldestFirst(history: History): string[] {
  const waiting = certainlyPending(history);
  const violations: string[] = [];
  for (const [addressee, mine] of groupBy(history.runs, (run) => run.addressee)) {
    const pending = waiting.get(addressee) ?? [];
    for (const run of mine) {
      const key = keyAt(history, run);
      if (key === null) continue;
      const overtaken = pending.find(
        (other) =>
          other.taskId !== run.task_id &&
          other.from <= run.started_at - SLACK_MS &&
          other.until > run.started_at &&
          other.key < key,
      );
      if (overtaken !== undefined)
        violations.push(`${addressee}: task ${run.task_id} (run ${run.id}) overtook ${overtaken.taskId}`);
    }
  }
  return violations;
}

/** Where the claimed task stood; null where that is uncertain. */
function keyAt({ filed }: History, run: RunRow): number | null {
  const { placements = [] } = filed.get(run.task_id) ?? {};
  // It stood in its first place before the suite knew that it was filed.
  const placement = placements.find(
    (one, index) => (index === 0 || one.from <= run.started_at) && one.until >= run.started_at,
  );
  return placement?.key ?? null;
}

/** By addressee: from when to when each filed task was pending where it stood, as far as that is certain. */
function certainlyPending({ filed, events }: History): Map<string, Waiting[]> {
  const eventsOf = groupBy(events, (event) => event.task_id);
  const waiting = new Map<string, Waiting[]>();
  for (const { id, placements } of filed.values()) {
    for (const span of pendingSpans(eventsOf.get(id) ?? [])) {
      for (const place of placements) {
        const from = Math.max(span.from, place.from);
        const until = Math.min(span.until, place.until);
        if (from >= until) continue;
        const list = waiting.get(place.addressee) ?? [];
        list.push({ taskId: id, key: place.key, from, until });
        waiting.set(place.addressee, list);
      }
    }
  }
  return waiting;
}

function pendingSpans(events: readonly EventRow[]): { from: number; until: number }[] {
  const spans = [];
  let since: number | null = -Infinity;
  for (const event of events) {
    if (event.event === "edited" || event.event === "child_refused") continue;
    if (since !== null) spans.push({ from: since, until: event.at });
    since = event.to_status === "pending" ? event.at : null;
  }
  if (since !== null) spans.push({ from: since, until: Infinity });
  return spans;
}

/** No engine of an older epoch claims or settles after a newer one has begun. */
function epochsNeverMix({ runs, events }: History): string[] {
  const violations: string[] = [];
  let newest = 0;
  for (const run of runs) {
    if (run.epoch < newest)
      violations.push(`run ${run.id} was claimed in epoch ${run.epoch}, after one of epoch ${newest}`);
    newest = Math.max(newest, run.epoch);
  }
  const over = new Set<string>();
  let writer = "";
  for (const { id, application } of events) {
    if (!application.startsWith("myzel-engine ") || application === writer) continue;
    if (over.has(application)) violations.push(`event ${id} was written by ${application} after its successor's`);
    over.add(writer);
    writer = application;
  }
  return violations;
}

function groupBy<T>(list: readonly T[], keyOf: (one: T) => string): Map<string, T[]> {
  return Map.groupBy(list, keyOf);
}

function repeated(keys: readonly string[]): string[] {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const key of keys) {
    if (seen.has(key)) twice.add(key);
    seen.add(key);
  }
  return [...twice];
}
