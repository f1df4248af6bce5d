/**
 * The queue under random interleavings, against a pure model. MYZEL_MODEL_SEED starts where a failure was printed,
 * MYZEL_MODEL_SECONDS makes the run longer. A failure prints its seed and the shrunk commands; the shortest sequence that
 * shows it is then kept as a plain test in counterexamples.test.ts.
 */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { anyCommands } from "./any-commands.ts";
import { emptyModel } from "./model.ts";
import { realQueue } from "./real-queue.ts";
import type { RealQueue } from "./real-queue.ts";

const START = Date.parse("2030-01-01T00:00:00Z");
const LIMIT = 4;
const MAX_COMMANDS = 120;
/** Sequences a seed, so that a printed seed leads to its failure within seconds. */
const SEQUENCES = 10;
/** Shrinking ends then, with the shortest sequence found so far. */
const SHRINK_MS = 60_000;

const FIRST_SEED = Number(process.env["MYZEL_MODEL_SEED"] ?? randomInt(2 ** 30));
const SECONDS = Number(process.env["MYZEL_MODEL_SECONDS"] ?? 15);

describe("the queue and its model", () => {
  let real: RealQueue;
  before(async () => {
    real = await realQueue();
  });
  after(() => real.close());

  it("agree after every command of any sequence, and no invariant is ever broken", async (test) => {
    let sequences = 0;
    let runs = 0;
    const property = fc.asyncProperty(anyCommands(MAX_COMMANDS), async (commands) => {
      const epoch = await real.restart({ now: START, limit: LIMIT });
      const model = emptyModel({ now: START, epoch, limit: LIMIT });
      await fc.asyncModelRun(() => ({ model, real }), commands);
      sequences += 1;
      runs += model.runs.length;
    });
    test.diagnostic(`MYZEL_MODEL_SEED=${FIRST_SEED}`);
    const deadline = performance.now() + SECONDS * 1000;
    for (let seed = FIRST_SEED; performance.now() < deadline; seed++) {
      await fc.assert(property, { seed, numRuns: SEQUENCES, plugins: [fc.interruptAfterTimeLimit(SHRINK_MS)] });
    }
    test.diagnostic(`${sequences} sequences of up to ${MAX_COMMANDS} commands, ${runs} runs`);
    assert.ok(runs > 0, "nothing was claimed: the commands prove nothing");
  });
});
