/** What the engine does: it claims, beats, is replaced; and time passes. It settles in settle-commands.ts. */
import assert from "node:assert/strict";
import { assertClaimAllowed } from "./claim-rules.ts";
import { command, demand } from "./command.ts";
import type { QueueCommand } from "./command.ts";
import { beginEpic } from "./epic-rules.ts";
import { whyPending } from "./gates.ts";
import { addresseeOf, credentialOf, liveRuns, nextAttempt, pendingTasks, profileOfTask, projectOf } from "./model.ts";
import type { Model, ModelRun } from "./model.ts";
import type { RealQueue } from "./real-queue.ts";

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

/** What the model expects of the run that this row is; only its id and slot are the database's to choose. A Green's task begins an epic. */
function claimedRun(model: Model, row: { id: string; task_id: string; slot: number }): ModelRun {
  const task = demand(model.tasks.get(row.task_id));
  assert.ok(row.slot <= addresseeOf(model, task.addressee).capacity, `slot ${row.slot} is beyond the capacity`);
  const profile = profileOfTask(model, task);
  if (model.profiles.get(profile)?.role === "green" && task.epic === null) beginEpic(model, task);
  return {
    id: row.id,
    taskId: task.id,
    addressee: task.addressee,
    slot: row.slot,
    ...nextAttempt(model, task.id),
    startedAt: model.now,
    repoUrl: task.repoUrl,
    project: projectOf(model, task)?.name ?? null,
    epic: task.epic,
    paths: task.paths,
    profile,
    credential: credentialOf(model, task),
    live: true,
    stopping: false,
    reported: false,
    failureCode: null,
    retryAt: null,
    leftWork: false,
  };
}

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
    await assert.rejects(real.settle(old, [{ run_id: run.id, action: "complete", success: true }]), { code: "MZ001" });
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
