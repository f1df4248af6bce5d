/**
 * The queue and its epics under random interleavings, against a pure model (play.ts says how to run it longer, or again).
 * The shortest sequence that shows a fault is then kept as a plain test in counterexamples.test.ts.
 */
import { after, before, describe, it } from "node:test";
import { anyCommands, anyEpicCommands, anyGateCommands } from "./any-commands.ts";
import { play } from "./play.ts";
import { realQueue } from "./real-queue.ts";
import type { RealQueue } from "./real-queue.ts";

describe("the queue and its model", () => {
  let real: RealQueue;
  before(async () => {
    real = await realQueue();
  });
  after(() => real.close());

  it("agree after every command of any sequence, and no invariant is ever broken", (test) =>
    play(real, test, { commands: anyCommands, mostCommands: 200, limit: 4, seconds: 5 }));

  it("agree on who waits for whose paths, and on what a day may cost", (test) =>
    play(real, test, { commands: anyGateCommands, mostCommands: 120, limit: 8, seconds: 5 }));

  it("agree on epics: which Green is woken with what, what they have spent, and how they end", (test) =>
    play(real, test, { commands: anyEpicCommands, mostCommands: 240, limit: 8, seconds: 5 }));
});
