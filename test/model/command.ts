/**
 * What a command is: it does something to the database, says in the model what must have come of it, and then the two
 * are compared and the invariants asked for. Commands name tasks and runs by a number that is taken modulo how many
 * there are, so that every sequence makes sense, also a shrunk one.
 */
import assert from "node:assert/strict";
import type fc from "fast-check";
import { assertInvariants } from "./invariants.ts";
import { learnNewTasks } from "./new-tasks.ts";
import type { Model } from "./model.ts";
import { accountOfDatabase, accountOfModel } from "./observe.ts";
import type { RealQueue } from "./real-queue.ts";

export type QueueCommand = fc.AsyncCommand<Model, RealQueue>;

/** How far the clock goes on before each command: what one command does is of one instant, and later than what was. */
const TICK_MS = 1;

/** A command by name and arguments, which is how a counterexample prints it. */
export function command<Arguments>(
  name: string,
  args: Arguments,
  play: (model: Model, real: RealQueue, args: Arguments) => Promise<void>,
): QueueCommand {
  return {
    check: () => true,
    run: async (model, real) => {
      model.now += TICK_MS;
      await real.setClock(model.now);
      await play(model, real, args);
      await learnNewTasks(model, real);
      const [account] = await Promise.all([accountOfDatabase(real.engine), assertInvariants(real.admin)]);
      assert.deepEqual(account, accountOfModel(model));
    },
    toString: () => `${name}(${JSON.stringify(args)})`,
  };
}

/** The item that a command names. */
export function pick<T>(items: readonly T[], index: number): T | undefined {
  return items[index % Math.max(1, items.length)];
}

/** @throws AssertionError */
export function demand<T>(value: T | undefined): T {
  assert.ok(value !== undefined, "the database names something that the model does not know");
  return value;
}
