import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it } from "node:test";
import { createReadingBudget } from "../../engine/loops/logs/reading-budget.ts";

describe("the budget of readers", () => {
  it("lets them read while something is left, then makes them wait for more", async () => {
    const budget = createReadingBudget(10);
    const { signal } = new AbortController();
    await budget.spend(9, signal);
    let isOver = false;
    const spending = budget.spend(1, signal).then(() => (isOver = true));
    await new Promise(setImmediate);
    assert.equal(isOver, false);
    budget.refill();
    await spending;
  });

  it("keeps nothing of a wait that is over, and holds up nobody who leaves", async () => {
    const budget = createReadingBudget(1);
    const leaving = new AbortController();
    for (let round = 0; round < 3; round++) {
      const spending = budget.spend(1, leaving.signal);
      budget.refill();
      await spending;
    }
    assert.equal(getEventListeners(leaving.signal, "abort").length, 0);
    const spending = budget.spend(1, leaving.signal);
    leaving.abort();
    await spending;
    await budget.spend(1, leaving.signal);
  });
});
