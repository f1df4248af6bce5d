import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkVersion } from "../../engine/launch/kubernetes/doctor/server.ts";
import { mostRuns, quantityOf } from "../../engine/launch/kubernetes/doctor/quotas.ts";

describe("the cluster's version", () => {
  const cases: [string, string, "ok" | "problem"][] = [
    ["1", "28", "problem"],
    ["1", "28+", "problem"],
    ["1", "29", "ok"],
    ["1", "29+", "ok"],
    ["1", "36", "ok"],
    ["2", "0", "ok"],
  ];
  for (const [major, minor, status] of cases) {
    it(`${major}.${minor} is ${status}`, () => {
      const check = checkVersion({ major, minor, gitVersion: `v${major}.${minor}.1` }, "https://api");
      assert.deepEqual([check.status, check.message], [status, `Kubernetes ${major}.${minor}.1: https://api`]);
      if (status === "problem") assert.match(check.mend ?? "", /1\.29 or newer/);
    });
  }
});

describe("what a quota has room for", () => {
  it("quantities are read as people write them", () => {
    const read = ["1", "500m", "1.5", "1k", "2Gi", "1G", "0"].map(quantityOf);
    assert.deepEqual(read, [1, 0.5, 1.5, 1_000, 2 * 2 ** 30, 1e9, 0]);
    assert.deepEqual(["", "x", "1Xi", "-1"].map(quantityOf), [null, null, null, null]);
  });

  it("the scarcest of what a run takes decides; what it takes none of does not count", () => {
    const demand = { cpu: "2", memory: "4Gi" };
    assert.deepEqual(mostRuns({ "limits.cpu": "10", "requests.cpu": "1" }, demand), {
      runs: 2,
      resource: "requests.cpu",
    });
    assert.deepEqual(mostRuns({ memory: "3Gi", pods: "10" }, demand), { runs: 0, resource: "memory" });
    assert.deepEqual(mostRuns({ "count/jobs.batch": "7", "count/secrets": "1" }, demand), {
      runs: 7,
      resource: "count/jobs.batch",
    });
    assert.equal(mostRuns({ "requests.nvidia.com/gpu": "0" }, demand), null);
  });
});
