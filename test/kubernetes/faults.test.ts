/** The Kubernetes fault suite on a short seed, for every run of the tests; `faults/long.ts` is the long one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runSuite } from "./faults/suite.ts";
import { ownClusterProblem } from "./support/shared-cluster.ts";

const SEED = "short";

test(
  "no task is lost, done twice or out of order while the cluster and engines break and Jobs are deleted",
  { skip: await ownClusterProblem() },
  async (context) => {
    const report = await runSuite({
      seed: SEED,
      tasks: 50,
      mostPending: 60,
      faults: "short",
      say: (line) => context.diagnostic(line),
    });
    context.diagnostic(JSON.stringify({ seed: SEED, ...report }));
    assert.deepEqual(report.violations, []);
    assert.ok(
      report.tasks >= 50 && Object.keys(report.faults).length >= 6,
      "the suite did too little to prove anything",
    );
  },
);
