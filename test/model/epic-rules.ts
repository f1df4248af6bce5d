/**
 * What follows for its epic from the outbox of a run and from the end of a task: docs/EPICS.md once more, as rules over
 * the model. Pure.
 */
import { endEpic } from "./epic-ends.ts";
import {
  activeEpic,
  APPROVER,
  compareText,
  everyTask,
  isGreen,
  newestRun,
  newTask,
  pendingTasks,
  profileOf,
} from "./model.ts";
import type { Child, EpicLimits, Model, ModelEpic, ModelRun, ModelTask, Note } from "./model.ts";

export const DEFAULT_LIMITS: EpicLimits = {
  tasks: 100,
  tasksPerRun: 10,
  depth: 3,
  failuresInARow: 3,
  runs: 300,
  liveRuns: 10,
  tokens: null,
  cents: null,
  wallMs: 7 * 24 * 3600 * 1000,
};

export function beginEpic(model: Model, task: ModelTask, limits: Partial<EpicLimits> = {}): ModelEpic {
  const epic: ModelEpic = {
    id: task.id,
    addressee: task.addressee,
    state: "active",
    endCode: null,
    limits: { ...DEFAULT_LIMITS, ...limits },
    tasks: 0,
    runs: 0,
    tokens: 0,
    cents: 0,
    stalls: 0,
    startedAt: null,
  };
  model.epics.set(epic.id, epic);
  task.epic = epic.id;
  return epic;
}

/** Green's word that its epic is over; of a Green that it was not filed for, the one it was filed for is told. */
export function finishEpic(model: Model, task: ModelTask, success: boolean): void {
  const epic = activeEpic(model, task.epic);
  if (epic === undefined || !isGreen(model, task.addressee)) return;
  if (epic.addressee !== task.addressee) note(model, epic, { addressee: epic.addressee, about: "part" });
  else if (success) endEpic(model, epic, { state: "finished", code: "finished", stopRunning: false });
  else endEpic(model, epic, { state: "failed", code: "gave_up", stopRunning: false });
}

/** What a run asked for: created within the limits of its epic, which begins with it where there is none. */
export function createChildren(model: Model, task: ModelTask, run: ModelRun, children: readonly Child[]): void {
  if (children.length === 0) return;
  const allowed = model.profiles.get(run.profile)?.mayCreate === true;
  const asksPerson = (child: Child) =>
    child.kind === "question" && child.addressee === APPROVER && isGreen(model, task.addressee);
  if (task.epic === null && !allowed && !isGreen(model, task.addressee)) return;
  if (task.epic === null) run.epic = beginEpic(model, task).id;
  const epic = model.epics.get(task.epic ?? "");
  if (epic === undefined) return;
  let created = 0;
  for (const child of children) {
    const refused =
      (!allowed && !asksPerson(child)) ||
      epic.state !== "active" ||
      created >= epic.limits.tasksPerRun ||
      epic.tasks + created >= epic.limits.tasks ||
      task.depth + 1 > epic.limits.depth ||
      (child.kind === "merge" && (task.repoUrl === null || isGreen(model, child.addressee)));
    if (refused) note(model, epic, { addressee: task.addressee, about: "refused" });
    else createChild(model, task, run, child);
    created += refused ? 0 : 1;
  }
  epic.tasks += created;
  if (created > 0) epic.stalls = 0;
}

function createChild(model: Model, parent: ModelTask, run: ModelRun, child: Child): void {
  const { prompt, step } = child;
  const made = { createdBy: parent.addressee, parentId: parent.id, epic: parent.epic, depth: parent.depth + 1, step };
  const where = { repoUrl: parent.repoUrl, createdAt: model.now, prompt };
  if (child.kind === "merge") {
    // none of the model's repositories is on a host with pull requests: a person is asked first
    const asks = { addressee: APPROVER, kind: "approval" as const, onApproval: child, profile: personsOwn(model) };
    model.born.push(newTask({ ...made, ...where, ...asks }));
    return;
  }
  const { addressee, kind, paths } = child;
  const group = child.together ? run.id : null;
  const profile = kind === "question" && addressee === APPROVER ? personsOwn(model) : null;
  model.born.push(newTask({ ...made, ...where, addressee, kind, paths, group, profile }));
}

/** The profile that makes a task the approver's own, where the addressee's is not a person's. */
function personsOwn(model: Model): string | null {
  return model.profiles.get(profileOf(model, APPROVER))?.role === "human" ? null : "human";
}

/** Tasks were completed, together, by a settle or by hand. */
export function followEnded(model: Model, ended: readonly ModelTask[]): void {
  for (const task of ended.toSorted((a, b) => compareText(a.id, b.id))) {
    const epic = activeEpic(model, task.epic);
    if (epic === undefined) continue; // nobody is woken for what has ended
    if (task.result?.success && task.onApproval !== null) becomeMerge(model, task, task.onApproval);
    else if (!endsByFailures(model, epic, task)) tellCreator(model, epic, task);
  }
  for (const id of new Set(ended.map((task) => task.epic))) followIdle(model, id);
}

function becomeMerge(model: Model, approval: ModelTask, { addressee, step, paths, prompt }: Child): void {
  const { createdBy, parentId, repoUrl, epic, depth } = approval;
  approval.onApproval = null;
  const made = { createdBy, parentId, repoUrl, epic, depth, createdAt: model.now };
  model.born.push(newTask({ ...made, addressee, step, paths, prompt, kind: "merge" }));
}

/** Results that a step is judged by: not Green's own, and not people's. */
function isWork(epic: ModelEpic, task: ModelTask): boolean {
  return task.id !== epic.id && task.kind !== "wake_up" && task.kind !== "question" && task.kind !== "approval";
}

/** Each step is counted by itself; a success of it counts anew, and what a person stopped does not count. */
function endsByFailures(model: Model, epic: ModelEpic, task: ModelTask): boolean {
  const failed = (one: ModelTask) => one.result !== null && !one.result.success && one.result.code !== "stopped";
  if (!isWork(epic, task) || !failed(task)) return false;
  const ofStep = everyTask(model).filter(
    (one) => one.epic === epic.id && isWork(epic, one) && one.step === task.step && one.status === "completed",
  );
  const endOf = (one: ModelTask) => one.completedAt ?? 0;
  const lastSuccess = Math.max(0, ...ofStep.filter((one) => one.result?.success).map(endOf));
  const failures = ofStep.filter((one) => failed(one) && endOf(one) > lastSuccess).length;
  if (failures < epic.limits.failuresInARow) return false;
  endEpic(model, epic, { state: "failed", code: "max_failures_in_a_row", stopRunning: true });
  return true;
}

/** The Green that created it is woken: of tasks that shall wake it together by each failure, and by the last one. */
function tellCreator(model: Model, epic: ModelEpic, task: ModelTask): void {
  if (task.createdBy === null || !isGreen(model, task.createdBy)) return;
  const group = everyTask(model).filter((one) => one.group !== null && one.group === task.group && one !== task);
  if (task.result?.success && group.some((one) => one.status !== "completed")) return;
  wakeGreen(model, epic, { creation: task, addressee: task.createdBy, results: [task, ...untold(model, group)] });
}

function untold(model: Model, tasks: readonly ModelTask[]): ModelTask[] {
  return tasks.filter(
    (task) =>
      task.status === "completed" &&
      !everyTask(model).some((wakeUp) => (wakeUp.told.get(task.id)?.at ?? -1) >= (task.completedAt ?? 0)),
  );
}

/** A task was deleted before it ended: whoever created it hears of it. The epic that began with it ends. */
export function followDeleted(model: Model, task: ModelTask): void {
  const begun = activeEpic(model, task.id);
  if (begun !== undefined) endEpic(model, begun, { state: "stopped", code: "stopped", stopRunning: true });
  const epic = activeEpic(model, task.epic);
  if (epic === undefined) return;
  if (task.kind === "wake_up") keepUntold(model, task);
  // what has never run, and whose creator is gone too, is of an epic that nobody can tell any more
  const known = model.tasks.has(task.parentId ?? "") || newestRun(model, task.id) !== undefined;
  if (known && isGreen(model, task.createdBy) && task.createdBy !== null) {
    const beside = everyTask(model).filter((one) => one.group !== null && one.parentId === task.parentId);
    const isOver = (one: ModelTask) =>
      !beside.some(({ group, status }) => group === one.group && status !== "completed");
    const results = untold(model, beside.filter(isOver));
    note(model, epic, { addressee: task.createdBy, about: "deleted" });
    wakeGreen(model, epic, { creation: task, addressee: task.createdBy, results });
  }
  // a wake-up that is lost is found by wakeIdle
  if (task.kind !== "wake_up") followIdle(model, epic.id);
}

/** What a deleted wake-up was to tell is kept with the tasks themselves, until the next wake-up takes it over. */
function keepUntold(model: Model, wakeUp: ModelTask): void {
  for (const [id, told] of wakeUp.told) model.tasks.get(id)?.told.set(id, told);
  for (const one of model.notes) if (one.told === wakeUp) one.told = null;
}

function keptOf(model: Model, epic: ModelEpic): ModelTask[] {
  return everyTask(model).filter((task) => task.epic === epic.id && task.told.has(task.id));
}

/** An active epic of which nothing is left to run: its Green is woken, or it ends by what its Green did last. */
export function followIdle(model: Model, id: string | null): void {
  const epic = activeEpic(model, id);
  if (epic === undefined) return;
  const tasks = everyTask(model).filter((task) => task.epic === epic.id);
  if (tasks.some((task) => task.status !== "completed")) return;
  epic.stalls += 1;
  const end = (state: "finished" | "failed" | "stopped", code: string) =>
    endEpic(model, epic, { state, code, stopRunning: false });
  const last = tasks
    .filter((task) => task.addressee === epic.addressee)
    .toSorted((a, b) => (b.completedAt ?? 0) - (a.completedAt ?? 0) || compareText(b.id, a.id))[0]?.result;
  const root = model.tasks.get(epic.id);
  if (root === undefined) end("stopped", "stopped");
  else if (!isGreen(model, epic.addressee)) end("finished", "finished");
  else if (last?.code === "stopped") end("stopped", "stopped");
  else if (last?.attempt === null) end(last.success ? "finished" : "failed", last.success ? "finished" : "gave_up");
  else if (epic.stalls > 1 && epic.tasks >= epic.limits.tasks) end("failed", "max_tasks");
  else if (epic.stalls > epic.limits.failuresInARow) end("failed", "stalled");
  else {
    note(model, epic, { addressee: epic.addressee, about: "idle" });
    wakeGreen(model, epic, {
      creation: null,
      addressee: epic.addressee,
      results: keptOf(model, epic),
      repoUrl: root.repoUrl,
    });
  }
}

/** The results join the pending wake-up of this epic and Green, else there is a new one. All untold notes go with them. */
function wakeGreen(
  model: Model,
  epic: ModelEpic,
  why: { creation: ModelTask | null; addressee: string; results: readonly ModelTask[]; repoUrl?: string | null },
): void {
  const { creation, addressee, results } = why;
  const joined = pendingTasks(model)
    .filter((task) => task.kind === "wake_up" && task.epic === epic.id && task.addressee === addressee)
    .filter((task) => !newestRun(model, task.id)?.live)
    .toSorted((a, b) => b.createdAt - a.createdAt)[0];
  const parent = model.tasks.get(creation?.parentId ?? "");
  const wakeUp =
    joined ??
    newTask({
      addressee,
      createdAt: model.now,
      repoUrl: why.repoUrl ?? parent?.repoUrl ?? null,
      createdBy: "engine",
      epic: epic.id,
      // of a task that was deleted together with its creator it is not known any more
      depth:
        parent === undefined && model.deleted.includes(creation?.id ?? "")
          ? 0
          : Math.max((creation?.depth ?? 0) - 1, 0),
      kind: "wake_up",
    });
  if (joined === undefined) model.born.push(wakeUp);
  for (const { id, result } of results) if (result !== null) wakeUp.told.set(id, { result, at: model.now });
  for (const task of keptOf(model, epic)) {
    const told = task.told.get(task.id);
    if (told === undefined || (task.createdBy !== addressee && !results.includes(task))) continue;
    task.told.delete(task.id);
    const isOld = task.status !== "completed" || (task.completedAt ?? 0) > told.at;
    if (!isOld && !wakeUp.told.has(task.id)) wakeUp.told.set(task.id, told);
  }
  for (const one of model.notes) {
    if (one.epic === epic.id && one.addressee === addressee && one.told === null) one.told = wakeUp;
  }
}

function note(model: Model, epic: ModelEpic, said: Pick<Note, "addressee" | "about">): void {
  model.notes.push({ epic: epic.id, told: null, ...said });
}
