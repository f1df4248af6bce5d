/** The benchmark itself: small enough to run with the other tests, so that it does not rot between two releases. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { judge } from "../../bench/queue/aims.ts";
import { CONTESTANTS } from "../../bench/queue/contestants/all.ts";
import { measureCycles } from "../../bench/queue/measures/cycles.ts";
import { benchOptions } from "../../bench/queue/options.ts";
import { medians } from "../../bench/queue/results.ts";
import type { CyclesCell, Results } from "../../bench/queue/results.ts";
import { startBenchServer } from "../../bench/queue/server.ts";
import { SHAPES } from "../../bench/queue/shapes.ts";

const PENDING = 200;
/** A loaded machine gets more time before a contestant counts as one that does nothing. */
const BOXES_MS = [400, 10_000, 60_000];

test("every contestant settles tasks of a free addressee while others are held", async () => {
  const server = await startBenchServer();
  try {
    for (const [name, contestant] of Object.entries(CONTESTANTS)) {
      let settled = 0;
      for (const boxMs of BOXES_MS) {
        if (settled > 0) break;
        const cycles = await measureCycles({ server, contestant, shape: SHAPES.d, pending: PENDING, boxMs });
        settled = cycles.settled;
        assert.ok(settled === 0 || cycles.wal_bytes_per_task > 0, `${name} wrote nothing`);
      }
      assert.ok(settled > 0, `${name} settled nothing`);
    }
  } finally {
    await server.stop();
  }
});

test("flags choose a subset, and a wrong one is named", () => {
  const known = Object.keys(CONTESTANTS);
  const options = benchOptions(["--sizes", "10k,1m", "--shapes", "a,f", "--box", "2.5"], known);
  assert.deepEqual(options.sizes, [10_000, 1_000_000]);
  assert.deepEqual(options.shapes, ["a", "f"]);
  assert.equal(options.boxMs, 2_500);
  assert.throws(() => benchOptions(["--sizes", "many"], known), /"many" is no size/);
  assert.throws(() => benchOptions(["--contestants", "redis"], known), /"redis" is none of myzel/);
});

test("several rounds become their medians, figure by figure", () => {
  const rounds = [
    { rate: 1, claim: null },
    { rate: 9, claim: 2 },
    { rate: 3, claim: 4 },
  ];
  assert.deepEqual(medians(rounds), { rate: 3, claim: null });
  assert.equal(medians([]), null);
});

test("an aim is judged against the best peer, and only where both were measured", () => {
  const results: Results = {
    date: "2026-01-01",
    machine: "",
    note: "",
    rounds: 1,
    box_seconds: 1,
    cycles: [cell("myzel", 500), cell("graphile", 40), cell("pg-boss-group", 250)],
    inserts: null,
    latency: null,
    start: [],
  };
  assert.deepEqual(judge(results), [
    { aim: "d: cycles at 10 k against the better peer ≥ 1", value: "2", reached: true },
  ]);
});

function cell(contestant: string, cycles_per_second: number): CyclesCell {
  return {
    contestant,
    cycles_per_second,
    shape: "d",
    pending: 10_000,
    claim_p50_ms: null,
    claim_p99_ms: null,
    wal_bytes_per_task: 1,
    settled: 1,
    fill_seconds: 1,
  };
}
