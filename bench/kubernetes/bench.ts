/**
 * `npm run bench:kubernetes`: the engine with Jobs for runs, against a real API server and a durable Postgres of its
 * own: creation beside a bare loop, what a run's end takes, memory. What it measures and how: README.md.
 */
import { parseArgs } from "node:util";
import { ownClusterProblem } from "../../test/kubernetes/support/shared-cluster.ts";
import { measureCreates } from "./measures/creates.ts";
import { measureEnds } from "./measures/ends.ts";
import { measureMemory } from "./measures/memory.ts";
import { keepResults, newResults, tables } from "./results.ts";
import { openStage } from "./stage.ts";

const HELP = `npm run bench:kubernetes -- [flags]
  --measures creates,ends,memory   default: all
  --rounds 5                       of creation, after one that is forgotten
  --jobs 500                       created in each turn
  --runs 100                       whose end is timed
  --live 1000,10000                live Jobs whose memory is measured
  --patience 600                   seconds until so many have to run; else what runs by then is measured
  --quick                          one round of 100 Jobs, 10 runs, 100 live Jobs
  --keep                           write results.json and the tables of README.md
  --note <text>                    said beside the results`;

const MEASURES = ["creates", "ends", "memory"];

function options() {
  const { values } = parseArgs({
    options: {
      measures: { type: "string", default: MEASURES.join(",") },
      rounds: { type: "string" },
      jobs: { type: "string" },
      runs: { type: "string" },
      live: { type: "string" },
      patience: { type: "string", default: "600" },
      quick: { type: "boolean", default: false },
      keep: { type: "boolean", default: false },
      note: { type: "string", default: "" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    process.exit(0);
  }
  const { quick } = values;
  const measures = values.measures.split(",");
  const unknown = measures.find((name) => !MEASURES.includes(name));
  if (unknown !== undefined) throw new Error(`--measures: "${unknown}" is none of ${MEASURES.join(", ")}`);
  return {
    measures: new Set(measures),
    rounds: wholeNumber("--rounds", values.rounds ?? (quick ? "1" : "5")),
    jobs: wholeNumber("--jobs", values.jobs ?? (quick ? "100" : "500")),
    runs: wholeNumber("--runs", values.runs ?? (quick ? "10" : "100")),
    live: (values.live ?? (quick ? "100" : "1000,10000")).split(",").map((text) => wholeNumber("--live", text)),
    patienceMs: wholeNumber("--patience", values.patience) * 1000,
    keep: values.keep,
    note: values.note,
  };
}

function wholeNumber(flag: string, text: string): number {
  const value = Number(text);
  if (!(Number.isInteger(value) && value > 0)) throw new Error(`${flag}: "${text}" is no whole number above 0`);
  return value;
}

async function run(asked: ReturnType<typeof options>): Promise<void> {
  const stage = await openStage();
  const interrupted = (): void => void stage.stop().finally(() => process.exit(130));
  process.once("SIGINT", interrupted).once("SIGTERM", interrupted);
  try {
    const results = newResults(stage.postgresVersion, asked.note);
    const { measures, rounds, jobs, runs, live, patienceMs } = asked;
    // Kept one by one: what comes later may fail.
    const keep = async (): Promise<void> => {
      if (asked.keep) await keepResults(results);
    };
    if (measures.has("creates")) {
      results.creates = await measureCreates(stage, { rounds, jobs });
      await keep();
    }
    if (measures.has("ends")) {
      results.ends = await measureEnds(stage, runs);
      await keep();
    }
    if (measures.has("memory")) {
      results.memory = await measureMemory(stage, { sizes: live, patienceMs });
      await keep();
    }
    console.log(tables(results));
    if (!asked.keep) console.log("\nKeep these numbers with: npm run bench:kubernetes -- --keep");
  } finally {
    await stage.stop();
  }
}

let wanted: ReturnType<typeof options>;
try {
  wanted = options();
} catch (error) {
  console.error((error as Error).message);
  process.exit(2);
}
try {
  const problem = await ownClusterProblem();
  if (problem !== false) throw new Error(`The benchmark starts a control plane of its own: ${problem}.`);
  await run(wanted);
} catch (error) {
  console.error(error instanceof Error ? (error.stack ?? error.message) : error);
  process.exitCode = 1;
}
