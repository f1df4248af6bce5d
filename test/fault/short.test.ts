/** The fault suite on a short seed, for every run of the tests; `npm run test:fault` is the long one. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { runSuite } from "./suite.ts";

const SEED = "short";

it("a few hundred tasks and their epics come through engines killed and paused, database restarts and broken connections", async (test) => {
  const report = await runSuite({
    seed: SEED,
    tasks: 200,
    faults: 15,
    calmEvery: 20,
    say: (line) => test.diagnostic(line),
  });
  test.diagnostic(JSON.stringify({ seed: SEED, ...report }));
  assert.deepEqual(report.violations, []);
  const epics = Object.values(report.epics).reduce((sum, count) => sum + count, 0);
  assert.ok(
    report.tasks >= 200 && report.runs >= 150 && epics >= 10 && report.told > 0,
    "the suite did too little to prove anything",
  );
});
