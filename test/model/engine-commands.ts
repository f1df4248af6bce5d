/** What the engine does: it claims, settles, beats, is replaced; and time passes. */
import assert from "node:assert/strict";
import { assertClaimAllowed } from "./claim-rules.ts";
import { command, demand, pick } from "./command.ts";
import type { QueueCommand } from "./command.ts";
import {
  addresseeOf,
  credentialOf,
  liveRuns,
  nextAttempt,
  pendingTasks,
  profileOf,
  projectOf,
  whyPending,
} from "./model.ts";
import type { Model, ModelRun, ModelTask } from "./model.ts";
import { resultText } from "./observe.ts";
import type { RealQueue } from "./real-queue.ts";

const SECOND_MS = 1000;

export const claim = (limit: number): QueueCommand =>
  command("claim", limit, async (model, real) => {
    await claimOnce(model, real, limit);
  });

/** As dispatch does: until there is nothing to claim. Then no task may be about to start. */
export const claimAll = (): QueueCommand =>
  command("claimAll", null, async (model, real) => {
    for (;;) {
      const { claimed, drained } = await claimOnce(model, real, 100);
      if (claimed === 0 && drained === 0) break;
    }
    const forgotten = pendingTasks(model).filter((task) => whyPending(model, task) === "starting");
    assert.deepEqual(forgotten, [], "nothing stands in their way, and they were not claimed");
  });

async function claimOnce(model: Model, real: RealQueue, limit: number) {
  const answer = await real.claim(model.epoch, limit);
  const known = new Set(model.runs.map((run) => run.id));
  const { rows } = await real.operator.query("select * from runs where not id = any ($1::uuid[])", [[...known]]);
  assert.equal(rows.length, answer.claimed);
  const taken = rows.map((row) => demand(model.tasks.get(row.task_id)));
  assertClaimAllowed(model, taken, limit);
  const runs = rows.map((row) => claimedRun(model, row));
  for (const task of taken) task.status = "running";
  model.runs.push(...runs);
  return answer;
}

/** What the model expects of the run that this row is; only its id and slot are the database's to choose. */
function claimedRun(model: Model, row: { id: string; task_id: string; slot: number }): ModelRun {
  const task = demand(model.tasks.get(row.task_id));
  assert.ok(row.slot <= addresseeOf(model, task.addressee).capacity, `slot ${row.slot} is beyond the capacity`);
  return {
    id: row.id,
    taskId: task.id,
    addressee: task.addressee,
    slot: row.slot,
    ...nextAttempt(model, task.id),
    repoUrl: task.repoUrl,
    project: projectOf(model, task)?.name ?? null,
    epic: task.epic,
    profile: profileOf(model, task.addressee),
    credential: credentialOf(model, task.addressee),
    live: true,
    stopping: false,
    failureCode: null,
    retryAt: null,
  };
}

export type SettleKind = "success" | "final" | "stopped" | "infrastructure" | "usage_limit";

export const settle = (args: { run: number; kind: SettleKind; pauseMs: number }): QueueCommand =>
  command("settle", args, async (model, real, { run: index, kind, pauseMs }) => {
    const run = pick(liveRuns(model), index);
    if (run === undefined) return;
    const code = { success: null, final: "agent_error", stopped: "stopped", infrastructure: "lost", usage_limit: kind }[
      kind
    ];
    const requeue = kind === "infrastructure" || kind === "usage_limit";
    const blockedUntil = kind === "usage_limit" ? model.now + pauseMs : null;
    const answer = await real.settle(model.epoch, run.id, {
      action: requeue ? "requeue" : "complete",
      success: code === null,
      failure_code: code,
      retry_after_seconds: kind === "infrastructure" ? pauseMs / SECOND_MS : 0,
      blocked_until: blockedUntil === null ? null : new Date(blockedUntil).toISOString(),
      tasks: [{ addressee: "a", prompt: "child" }],
    });
    assert.equal(answer, "settled");
    const task = model.tasks.get(run.taskId);
    const own = task?.status === "running" && !run.stopping;
    run.live = false;
    run.failureCode = code;
    const credential = demand(model.credentials.get(run.credential));
    if (blockedUntil !== null) credential.blockedUntil = Math.max(credential.blockedUntil ?? 0, blockedUntil);
    if (!own || task === undefined) return;
    if (requeue) {
      task.status = "pending";
      run.retryAt = model.now + (kind === "infrastructure" ? pauseMs : 0);
      return;
    }
    task.status = "completed";
    task.result = resultText({ success: code === null, code, attempt: run.attempt });
    if (code === null && run.profile === "green") await learnChild(model, real, task);
  });

/** A Green's success makes the one child that settle() asked for. */
async function learnChild(model: Model, real: RealQueue, parent: ModelTask): Promise<void> {
  const { rows } = await real.operator.query("select id from tasks where parent_id = $1", [parent.id]);
  const made = rows.filter((row) => !model.tasks.has(row.id) && !model.deleted.includes(row.id));
  assert.equal(made.length, 1, "children of one success");
  // What a task outside of any epic creates begins one; it has no limits that matter here, so the child leaves it.
  if (parent.epic === null)
    await real.admin.query("update task_options set epic = null where task_id = $1", [made[0].id]);
  const child = { addressee: "a", repoUrl: parent.repoUrl, epic: parent.epic, createdAt: model.now, result: null };
  model.tasks.set(made[0].id, { ...child, id: made[0].id, status: "pending" });
}

export const settleAgain = (index: number): QueueCommand =>
  command("settleAgain", index, async (model, real) => {
    const run = pick(
      model.runs.filter((candidate) => !candidate.live),
      index,
    );
    if (run === undefined) return;
    const outcome = {
      action: "complete",
      success: true,
      blocked_until: "2199-01-01T00:00:00Z",
      tasks: [{ prompt: "x" }],
    };
    assert.equal(await real.settle(model.epoch, run.id, outcome), "already");
  });

/** A successor takes over; then the old engine wakes up and tries everything. */
export const restartEngine = (limit: number): QueueCommand =>
  command("restartEngine", limit, async (model, real) => {
    const old = model.epoch;
    model.epoch = await real.raiseEpoch(limit);
    model.limit = limit;
    model.beatAt = model.now;
    assert.equal(model.epoch, old + 1);
    await assert.rejects(real.claim(old, 100), { name: "StaleEpochError" });
    await assert.rejects(real.engine.query("select beat($1)", [old]), { code: "MZ001" });
    const run = liveRuns(model)[0];
    if (run === undefined) return;
    await assert.rejects(real.settle(old, run.id, { action: "complete", success: true }), { code: "MZ001" });
    await assert.rejects(real.engine.query("select mark_launched($1, array[$2::uuid], array['pod'])", [old, run.id]), {
      code: "MZ001",
    });
  });

export const beat = (): QueueCommand =>
  command("beat", null, async (model, real) => {
    await real.engine.query("select beat($1)", [model.epoch]);
    model.beatAt = model.now;
  });

/** Time passes; the engine may have beaten meanwhile or not. */
export const wait = (args: { ms: number; beats: boolean }): QueueCommand =>
  command("wait", args, async (model, real, { ms, beats }) => {
    model.now += ms;
    await real.setClock(model.now);
    if (!beats) return;
    await real.engine.query("select beat($1)", [model.epoch]);
    model.beatAt = model.now;
  });

export const setLimit = (limit: number): QueueCommand =>
  command("setLimit", limit, async (model, real) => {
    await real.engine.query("update engine_state set max_live_runs = $1", [limit]);
    model.limit = limit;
  });
