/**
 * Plays sequences of commands against a real queue and a model for a while. MYZEL_MODEL_SEED starts where a failure was
 * printed, MYZEL_MODEL_SECONDS makes the run longer. A failure prints its seed and the shrunk commands.
 */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import type { TestContext } from "node:test";
import fc from "fast-check";
import type { QueueCommand } from "./command.ts";
import { emptyModel } from "./model.ts";
import type { RealQueue } from "./real-queue.ts";

const START = Date.parse("2030-01-01T00:00:00Z");
/** Sequences a seed, so that a printed seed leads to its failure within seconds. */
const SEQUENCES = 10;
/** Shrinking ends then, with the shortest sequence found so far. */
const SHRINK_MS = 60_000;

/** Always the same in continuous integration: what a change broke fails there, and not what nobody has found yet. */
const CI_SEED = process.env["CI"] === undefined ? undefined : 1;
const FIRST_SEED = Number(process.env["MYZEL_MODEL_SEED"] ?? CI_SEED ?? randomInt(2 ** 30));

export interface Game {
  /** Of sequences with at most so many. */
  commands: (mostCommands: number) => fc.Arbitrary<Iterable<QueueCommand>>;
  mostCommands: number;
  /** Most live runs at the beginning. */
  limit: number;
  /** How long, where MYZEL_MODEL_SECONDS does not say it. */
  seconds: number;
}

/** @throws with the shortest sequence after which the two differ or an invariant is broken */
export async function play(real: RealQueue, test: TestContext, game: Game): Promise<void> {
  const { limit } = game;
  let sequences = 0;
  let runs = 0;
  let epics = 0;
  let failedAt: number | null = null;
  const property = fc.asyncProperty(game.commands(game.mostCommands), async (commands) => {
    // (A limit of fast-check's own would leave the sequence under way behind, playing on beside the next one.)
    if (failedAt !== null && performance.now() > failedAt + SHRINK_MS) return;
    const epoch = await real.restart({ now: START, limit });
    const model = emptyModel({ now: START, epoch, limit });
    try {
      await fc.asyncModelRun(() => ({ model, real }), commands);
    } catch (error) {
      failedAt ??= performance.now();
      throw error;
    }
    sequences += 1;
    runs += model.runs.length;
    epics += model.epics.size;
  });
  test.diagnostic(`MYZEL_MODEL_SEED=${FIRST_SEED}`);
  const seconds = Number(process.env["MYZEL_MODEL_SECONDS"] ?? game.seconds);
  const deadline = performance.now() + seconds * 1000;
  for (let seed = FIRST_SEED; performance.now() < deadline; seed++) {
    await fc.assert(property, { seed, numRuns: SEQUENCES });
  }
  test.diagnostic(`${sequences} sequences of up to ${game.mostCommands} commands, ${runs} runs, ${epics} epics`);
  assert.ok(runs > 0, "nothing was claimed: the commands prove nothing");
}
