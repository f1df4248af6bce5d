/**
 * The Kubernetes fault suite at length. Prints its seed first, what really happened at the end, and ends with exit
 * code 1 where an invariant was violated.
 *
 *   node test/kubernetes/faults/long.ts --seed 7 --tasks 1000
 *
 * `--sabotage` takes SQL that breaks a guarantee on purpose, to see that the suite notices.
 */
import { longRun, longRunFlags, printVerdict } from "../../support/long-run.ts";
import { ownClusterProblem } from "../support/shared-cluster.ts";
import { runSuite } from "./suite.ts";

const { tasks, seed, sabotage } = longRunFlags({ tasks: 1_000 }, ["seed", "sabotage"]);
const problem = await ownClusterProblem();
if (problem !== false) {
  console.error(`There is no control plane to break: ${problem}`);
  process.exit(2);
}
const chosen = seed ?? String(Date.now() % 1_000_000);
console.log(`seed ${chosen}: ${tasks} tasks`);
printVerdict(await runSuite({ seed: chosen, tasks, mostPending: 120, faults: "long", sabotage, ...longRun() }));
