/**
 * `npm run test:fault`: the fault suite at length. Prints its seed first, what happened at the end, and
 * ends with exit code 1 where an invariant was violated.
 *
 *   npm run test:fault -- --seed 7 --tasks 10000 --faults 500
 *
 * `--only kill_leader,cut_some` makes only these faults; `--sabotage` takes SQL that breaks a guarantee on
 * purpose, to see that the suite notices.
 */
import { longRun, longRunFlags, printVerdict } from "../support/long-run.ts";
import { FAULT_NAMES } from "./faults.ts";
import { runSuite } from "./suite.ts";

const { tasks, faults, seed, only, sabotage } = longRunFlags({ tasks: 10_000, faults: 500 }, [
  "seed",
  "only",
  "sabotage",
]);
const wanted: readonly string[] = only?.split(",") ?? FAULT_NAMES;
const unknown = wanted.find((name) => !FAULT_NAMES.some((known) => known === name));
if (unknown !== undefined) {
  console.error(`--only: there is no fault "${unknown}"; there are ${FAULT_NAMES.join(", ")}`);
  process.exit(2);
}
const chosen = seed ?? String(Date.now() % 1_000_000);
console.log(`seed ${chosen}: ${tasks} tasks through ${faults} faults`);
printVerdict(
  await runSuite({
    seed: chosen,
    tasks,
    faults,
    calmEvery: 40,
    only: FAULT_NAMES.filter((name) => wanted.includes(name)),
    sabotage,
    ...longRun(),
  }),
);
