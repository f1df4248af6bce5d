/**
 * The Kubernetes fault suite at length. Prints its seed first, what really happened at the end, and ends with exit
 * code 1 where an invariant was violated.
 *
 *   node test/kubernetes/faults/long.ts --seed 7 --tasks 1000
 *
 * `--sabotage` takes SQL that breaks a guarantee on purpose, to see that the suite notices.
 */
import { parseArgs } from "node:util";
import { ownClusterProblem } from "../support/shared-cluster.ts";
import { runSuite } from "./suite.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    tasks: { type: "string", default: "1000" },
    sabotage: { type: "string" },
  },
});
const problem = await ownClusterProblem();
if (problem !== false) throw new Error(`no control plane can be had to break: ${problem}`);
console.log(`seed ${values.seed}: ${values.tasks} tasks`);
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
  mostPending: 120,
  faults: "long",
  sabotage: values.sabotage,
  signal: interrupt.signal,
  say: (line) => console.log(`${String(Math.round((performance.now() - begin) / 1000)).padStart(5)} s  ${line}`),
});
console.log(JSON.stringify(report, null, 2));
console.log(report.violations.length === 0 ? "every invariant held" : `${report.violations.length} violations`);
process.exitCode = report.violations.length === 0 ? 0 : 1;
