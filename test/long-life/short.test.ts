/** A short day, for every run of the tests; `npm run test:long-life` is a long one. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { liveThroughADay } from "./day.ts";

it("after 8,000 tasks sizes, dead rows, claims and settles are what they were at the start", async (test) => {
  const { problems } = await liveThroughADay({
    history: 5_000,
    backlog: 3_000,
    warmUp: 4_000,
    tasks: 8_000,
    underSnapshot: 2_000,
    say: (line) => test.diagnostic(line),
  });
  assert.deepEqual(problems, []);
});
