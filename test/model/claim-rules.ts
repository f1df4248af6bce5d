/** What one claim may take: the rules of order and fairness, judged after the fact. Pure. */
import assert from "node:assert/strict";
import { limitsOf, readyHeads } from "./gates.ts";
import { addresseeOf, compareAge, liveRuns } from "./model.ts";
import type { Model, ModelTask } from "./model.ts";
import { touch } from "./paths.ts";

interface Turn {
  task: ModelTask;
  /** How many live runs its repository has once this one runs. */
  turn: number;
}

/**
 * Throws unless a claim of at most `limit` tasks could have taken just these in this order of preference: each was the
 * oldest pending task of its addressee with a slot to spare, no more than there were places or than a limit allows, and
 * nobody who was left out had a better right: the repository with fewest live runs first, then the oldest. (Heads under a
 * limit of live runs or with declared paths are judged by those; that none of them is forgotten shows once everything is
 * claimed.)
 */
export function assertClaimAllowed(model: Model, taken: readonly ModelTask[], limit: number): void {
  const ready = new Set(readyHeads(model));
  const places = Math.max(0, Math.min(limit, model.limit - liveRuns(model).length));
  assert.ok(taken.length <= places, `${taken.length} were claimed for ${places} places`);
  for (const task of taken) {
    const ahead = [...model.tasks.values()].filter(
      (other) =>
        other.addressee === task.addressee &&
        other.status === "pending" &&
        compareAge(other, task) < 0 &&
        !taken.includes(other),
    );
    assert.deepEqual(ahead, [], `${task.id} was claimed before older tasks of its addressee`);
    const together = taken.filter((other) => other.addressee === task.addressee).length;
    const free = addresseeOf(model, task.addressee).capacity - liveRuns(model, task.addressee).length;
    assert.ok(together <= free, `${together} of "${task.addressee}" were claimed for ${free} slots`);
    const mayStart = ready.has(task) || taken.some((other) => other.addressee === task.addressee && ready.has(other));
    assert.ok(mayStart, `${task.id} was claimed though it has to wait`);
    for (const { reason, name, live, most } of limitsOf(model, task)) {
      const more = taken.filter((other) =>
        limitsOf(model, other).some((limit) => limit.reason === reason && limit.name === name),
      );
      assert.ok(
        live + more.length <= most,
        `${more.length} were claimed beside ${live} of "${name}", which may have ${most}`,
      );
    }
    const alike = taken.filter((other) => other !== task && touch(other, task));
    assert.deepEqual(alike, [], `${task.id} was claimed together with what works on the same paths`);
  }
  assertNobodyPassedOver(
    model,
    taken,
    [...ready].filter((task) => !taken.includes(task)),
  );
}

function assertNobodyPassedOver(model: Model, taken: readonly ModelTask[], leftOut: readonly ModelTask[]): void {
  const live = (repoUrl: string | null) => liveRuns(model).filter((run) => run.repoUrl === repoUrl).length;
  const ofRepo = (repoUrl: string | null) => taken.filter((task) => task.repoUrl === repoUrl).toSorted(compareAge);
  const takenTurns = taken.map((task) => ({
    task,
    turn: live(task.repoUrl) + ofRepo(task.repoUrl).indexOf(task) + 1,
  }));
  if (leftOut.some((task) => limitsOf(model, task).some((limit) => limit.reason === "credential"))) return;
  for (const task of leftOut.filter((one) => limitsOf(model, one).length === 0 && one.paths === null)) {
    const ahead = leftOut.filter((other) => other.repoUrl === task.repoUrl && compareAge(other, task) < 0).length;
    const waiting: Turn = { task, turn: live(task.repoUrl) + ofRepo(task.repoUrl).length + ahead + 1 };
    for (const other of takenTurns) {
      assert.ok(compareRight(other, waiting) < 0, `${task.id} had a better right than ${other.task.id}`);
    }
  }
}

function compareRight(a: Turn, b: Turn): number {
  return a.turn - b.turn || compareAge(a.task, b.task);
}
