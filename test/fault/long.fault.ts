/**
 * `npm run test:fault`: the fault suite at length. Prints its seed first, what happened at the end, and
 * ends with exit code 1 where an invariant was violated.
 *
 *   npm run test:fault -- --seed 7 --tasks 10000 --faults 500
 *
 * `--only kill_leader,cut_some` makes only these faults; `--sabotage` takes SQL that breaks a guarantee on
 * purpose, to see that the suite notices.
 */
import { parseArgs } from "node:util";
import { FAULT_NAMES } from "./faults.ts";
import { runSuite } from "./suite.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    tasks: { type: "string", default: "10000" },
    faults: { type: "string", default: "500" },
    only: { type: "string" },
    sabotage: { type: "string" },
  },
});
console.log(`seed ${values.seed}: ${values.tasks} tasks through ${values.faults} faults`);
const interrupt = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    process.on("unhandledRejection", () => undefined); // of what is being cut off
    interrupt.abort();
  });
}
const begin = performance.now();
const report = await runSuite({
  seed: values.seed,
  tasks: Number(values.tasks),
  faults: Number(values.faults),
  calmEvery: 40,
  only: FAULT_NAMES.filter((name) => values.only?.split(",").includes(name) ?? true),
  sabotage: values.sabotage,
  signal: interrupt.signal,
  say: (line) => console.log(`${String(Math.round((performance.now() - begin) / 1000)).padStart(5)} s  ${line}`),
});
console.log(JSON.stringify(report, null, 2));
console.log(report.violations.length === 0 ? "every invariant held" : `${report.violations.length} violations`);
process.exitCode = report.violations.length === 0 ? 0 : 1;
