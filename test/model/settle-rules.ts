/** What becomes of tasks, runs, epics and credentials when runs are settled. Pure. */
import { complete } from "./epic-ends.ts";
import { createChildren, finishEpic, followEnded } from "./epic-rules.ts";
import { compareText } from "./model.ts";
import type { Child, Model, ModelRun, ModelTask } from "./model.ts";
import { endIfExhausted, spendOnDay } from "./spending.ts";
import type { Used } from "./spending.ts";

/** What domain/outcome.ts decided, in the model's units. */
export interface Settlement {
  run: ModelRun;
  /** Null: success. */
  code: string | null;
  requeue: boolean;
  /** False: only its report is in. */
  jobEnded: boolean;
  retryMs: number;
  used: Used;
  children: readonly Child[];
  finish: boolean | null;
  blockedUntil: number | null;
  warnedUntil: number | null;
}

/** Settles live runs in one transaction. Returns the answer for each, in the order given. */
export function settleAll(model: Model, settlements: readonly Settlement[]): string[] {
  const ordered = settlements.toSorted((a, b) => compareText(a.run.id, b.run.id));
  const ownTask = ({ run }: Settlement): ModelTask | null => {
    const task = model.tasks.get(run.taskId);
    return task?.status === "running" && !run.stopping ? task : null;
  };
  for (const settlement of ordered) {
    const task = settlement.code === null ? ownTask(settlement) : null;
    if (task === null) continue;
    if (settlement.finish !== null) finishEpic(model, task, settlement.finish);
    createChildren(model, task, settlement.run, settlement.children);
  }
  // a report alone says nothing of a run whose task is no longer its own
  const settled = ordered
    .map((settlement) => ({ ...settlement, task: ownTask(settlement), first: !settlement.run.reported }))
    .filter(({ jobEnded, task }) => jobEnded || task !== null);
  const ended: ModelTask[] = [];
  for (const settlement of settled) {
    endRun(model, settlement);
    if (settlement.task === null) continue;
    if (settlement.requeue) settlement.task.status = "pending";
    else ended.push(completeByRun(model, settlement.task, settlement));
  }
  followEnded(model, ended);
  for (const settlement of settled) tellCredential(model, settlement);
  spend(
    model,
    settled.filter(({ first }) => first),
  );
  return settlements.map((one) => (settled.some(({ run }) => run === one.run) ? "settled" : "already"));
}

function endRun(model: Model, { run, task, code, requeue, jobEnded, retryMs }: Settlement & { task: object | null }) {
  run.stopping ||= !jobEnded;
  run.reported ||= !jobEnded;
  if (!jobEnded) return;
  run.live = false;
  run.failureCode = code;
  if (requeue && task !== null) run.retryAt = model.now + retryMs;
}

function completeByRun(model: Model, task: ModelTask, { run, code }: Settlement): ModelTask {
  complete(model, task, { success: code === null, code, attempt: run.attempt });
  return task;
}

/** Only ever later: what ended before a limit was known reopens nothing. */
function tellCredential(model: Model, { run, blockedUntil, warnedUntil }: Settlement): void {
  const credential = model.credentials.get(run.credential);
  if (credential === undefined) return;
  if (blockedUntil !== null) credential.blockedUntil = Math.max(credential.blockedUntil ?? 0, blockedUntil);
  if (warnedUntil !== null) credential.warnedUntil = Math.max(credential.warnedUntil ?? 0, warnedUntil);
}

/** Each run is counted once, with its first settle; then epics that have used up a limit end. */
function spend(model: Model, settled: readonly Settlement[]): void {
  for (const { run, used } of settled) {
    spendOnDay(model, run.project, used);
    const epic = model.epics.get(run.epic ?? "");
    if (epic === undefined) continue;
    epic.runs += 1;
    epic.tokens += used.tokens;
    epic.cents += used.cents;
  }
  const epics = [...new Set(settled.map(({ run }) => run.epic ?? ""))].toSorted(compareText);
  for (const id of epics) {
    const epic = model.epics.get(id);
    if (epic === undefined) continue;
    const begun = settled.filter(({ run }) => run.epic === id).map(({ run }) => run.startedAt);
    // wall time counts from its first run; from its reopening where it was ended
    epic.startedAt ??= Math.min(...begun);
    endIfExhausted(model, epic);
  }
}
