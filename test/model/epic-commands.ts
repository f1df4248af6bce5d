/** What people and the engine's recurring work do with epics. */
import assert from "node:assert/strict";
import { command, pick } from "./command.ts";
import type { QueueCommand } from "./command.ts";
import { complete, endEpic } from "./epic-ends.ts";
import { beginEpic, followEnded, followIdle } from "./epic-rules.ts";
import { compareText, isForPerson, isGreen, newTask, pendingTasks } from "./model.ts";
import type { EpicLimits, Model, ModelEpic } from "./model.ts";
import { endIfExhausted } from "./spending.ts";

/** Limits in the words and units of the database. */
function limitsAsColumns(limits: Partial<EpicLimits>): Record<string, string | number | null> {
  const columns = {
    max_tasks: limits.tasks,
    max_tasks_per_run: limits.tasksPerRun,
    max_depth: limits.depth,
    max_failures_in_a_row: limits.failuresInARow,
    max_runs: limits.runs,
    max_live_runs: limits.liveRuns,
    max_tokens: limits.tokens,
    max_cost_usd: typeof limits.cents === "number" ? limits.cents / 100 : limits.cents,
    max_wall_time: limits.wallMs === undefined ? undefined : `${limits.wallMs} milliseconds`,
  };
  return Object.fromEntries(
    Object.entries(columns).filter((entry): entry is [string, string | number | null] => entry[1] !== undefined),
  );
}

export const fileEpic = (args: {
  addressee: string;
  repoUrl: string | null;
  limits: Partial<EpicLimits>;
}): QueueCommand =>
  command("fileEpic", args, async (model, real, { addressee, repoUrl, limits }) => {
    const filed = real.operator.query("select id from file_epic($1, 'Build it.', $2, limits => $3)", [
      addressee,
      repoUrl,
      limitsAsColumns(limits),
    ]);
    if (!isGreen(model, addressee)) {
      await assert.rejects(filed, { code: "MZ002", message: /is no Green/ });
      return;
    }
    const { id } = (await filed).rows[0];
    const task = newTask({ id, addressee, repoUrl, createdAt: model.now });
    model.tasks.set(id, task);
    beginEpic(model, task, limits);
  });

/** The epic that a number names. */
function epicOf(model: Model, index: number): ModelEpic | undefined {
  return pick(
    [...model.epics.values()].toSorted((a, b) => compareText(a.id, b.id)),
    index,
  );
}

export const stopEpic = (index: number): QueueCommand =>
  command("stopEpic", index, async (model, real) => {
    const epic = epicOf(model, index);
    if (epic === undefined) return;
    await real.operator.query("select stop_epic($1)", [epic.id]);
    endEpic(model, epic, { state: "stopped", code: "stopped", stopRunning: true });
  });

/** Counts from the next settle on. */
export const setEpicLimits = (args: { epic: number; limits: Partial<EpicLimits> }): QueueCommand =>
  command("setEpicLimits", args, async (model, real, { epic: index, limits }) => {
    const epic = epicOf(model, index);
    const columns = Object.entries(limitsAsColumns(limits));
    if (epic === undefined || columns.length === 0) return;
    const set = columns.map(([name], place) => `${name} = $${place + 2}`).join(", ");
    await real.operator.query(`update epics set ${set} where id = $1`, [epic.id, ...columns.map(([, value]) => value)]);
    Object.assign(epic.limits, limits);
  });

/** A person's own pending task becomes one of this epic, or of none; where it is an epic's first, it stays that. */
export const joinEpic = (args: { task: number; epic: number | null }): QueueCommand =>
  command("joinEpic", args, async (model, real, { task: index, epic: number }) => {
    const own = pendingTasks(model).filter((task) => task.createdBy === null && !model.epics.has(task.id));
    const task = pick(
      own.toSorted((a, b) => compareText(a.id, b.id)),
      index,
    );
    if (task === undefined) return;
    const epic = number === null ? null : (epicOf(model, number)?.id ?? null);
    await real.operator.query(
      "insert into task_options (task_id, epic) values ($1, $2) on conflict (task_id) do update set epic = $2",
      [task.id, epic],
    );
    task.epic = epic;
  });

/** A person answers what is for a person, and only that. */
export const answer = (args: { task: number; success: boolean }): QueueCommand =>
  command("answer", args, async (model, real, { task: index, success }) => {
    const pending = pendingTasks(model).toSorted((a, b) => compareText(a.id, b.id));
    const people = pending.filter((task) => isForPerson(model, task));
    const task = pick(people.length > 0 ? people : pending, index);
    if (task === undefined) return;
    const answered = real.operator.query("select answer($1, 'So it is.', $2)", [task.id, success]);
    if (!isForPerson(model, task)) {
      await assert.rejects(answered, { code: "MZ002", message: /which is no person/ });
      return;
    }
    await answered;
    complete(model, task, { success, code: success ? null : "refused", attempt: null });
    followEnded(model, [task]);
  });

/** What somebody writes into status and result by hand, of any open task. */
export const completeByHand = (args: { task: number; success: boolean }): QueueCommand =>
  command("completeByHand", args, async (model, real, { task: index, success }) => {
    const open = [...model.tasks.values()].filter((task) => task.status !== "completed");
    const task = pick(
      open.toSorted((a, b) => compareText(a.id, b.id)),
      index,
    );
    if (task === undefined) return;
    const code = success ? null : "agent_error";
    await real.operator.query("update tasks set status = 'completed', result = $2 where id = $1", [
      task.id,
      success ? { success } : { success, code },
    ]);
    complete(model, task, { success, code, attempt: null });
    followEnded(model, [task]);
  });

/** The engine's recurring work: epics whose time is over. */
export const endOverdue = (): QueueCommand =>
  command("endOverdue", null, async (model, real) => {
    await real.engine.query("select end_overdue_epics($1)", [model.epoch]);
    for (const epic of model.epics.values()) {
      if (epic.startedAt !== null && epic.startedAt + epic.limits.wallMs <= model.now) endIfExhausted(model, epic);
    }
  });

/** The engine's recurring work: epics that nobody was woken for. */
export const wakeIdle = (): QueueCommand =>
  command("wakeIdle", null, async (model, real) => {
    await real.engine.query("select wake_idle_epics($1)", [model.epoch]);
    for (const epic of model.epics.values()) followIdle(model, epic.id);
  });
