/**
 * `npm run test:long-life`: a day's traffic in some minutes, on a database with a past. Prints every table's size and
 * dead rows at the end against the start, and ends with exit code 1 where something is not as it was.
 *
 *   npm run test:long-life -- --tasks 30000 --history 100000 --backlog 10000 --snapshot 10000
 *
 * A hundred agents with five minutes a task make 29,000 tasks a day.
 */
import { parseArgs } from "node:util";
import { liveThroughADay } from "./day.ts";
import { figuresTable } from "./figures.ts";

const { values } = parseArgs({
  options: {
    tasks: { type: "string", default: "30000" },
    history: { type: "string", default: "100000" },
    backlog: { type: "string", default: "10000" },
    snapshot: { type: "string", default: "10000" },
  },
});
const interrupt = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupt.abort());
const begin = performance.now();
const report = await liveThroughADay({
  history: Number(values.history),
  backlog: Number(values.backlog),
  warmUp: 10_000,
  tasks: Number(values.tasks),
  underSnapshot: Number(values.snapshot),
  signal: interrupt.signal,
  say: (line) => console.log(`${String(Math.round((performance.now() - begin) / 1000)).padStart(4)} s  ${line}`),
});
console.log(figuresTable(report.start, report.end));
for (const problem of report.problems) console.error(problem);
console.log(report.problems.length === 0 ? "everything is as it was" : `${report.problems.length} problems`);
process.exitCode = report.problems.length === 0 ? 0 : 1;
