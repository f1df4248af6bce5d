/**
 * `npm run test:long-life`: a day's traffic in some minutes, on a database with a past. Prints every table's size and
 * dead rows at the end against the start, and ends with exit code 1 where something is not as it was.
 *
 *   npm run test:long-life -- --tasks 30000 --history 100000 --backlog 10000 --snapshot 10000
 *
 * A hundred agents with five minutes a task make 29,000 tasks a day.
 */
import { longRun, longRunFlags } from "../support/long-run.ts";
import { liveThroughADay } from "./day.ts";
import { figuresTable } from "./figures.ts";

const { tasks, history, backlog, snapshot } = longRunFlags({
  tasks: 30_000,
  history: 100_000,
  backlog: 10_000,
  snapshot: 10_000,
});
const day = { tasks, history, backlog, warmUp: 10_000, underSnapshot: snapshot };
const report = await liveThroughADay({ ...day, ...longRun() });
console.log(figuresTable(report.start, report.end));
for (const problem of report.problems) console.error(problem);
console.log(report.problems.length === 0 ? "everything is as it was" : `${report.problems.length} problems`);
process.exitCode = report.problems.length === 0 ? 0 : 1;
