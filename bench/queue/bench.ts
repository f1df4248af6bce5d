/**
 * `npm run bench:queue`: Myzel, its peers and the floor side by side on one durable embedded server, in one run,
 * interleaved, medians of several rounds. `--help` lists the flags; bench/queue/README.md says what is measured.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isNeeded } from "./aims.ts";
import { CONTESTANTS } from "./contestants/all.ts";
import { measureCycles } from "./measures/cycles.ts";
import type { Cycles } from "./measures/cycles.ts";
import { measureInserts } from "./measures/inserts.ts";
import type { Inserts } from "./measures/inserts.ts";
import { measureLatency } from "./measures/latency.ts";
import type { Latency } from "./measures/latency.ts";
import { measureStart } from "./measures/start.ts";
import type { Start } from "./measures/start.ts";
import { benchOptions } from "./options.ts";
import type { BenchOptions } from "./options.ts";
import { keepResults, keptResults, machine, medians } from "./results.ts";
import type { Results } from "./results.ts";
import { startBenchServer } from "./server.ts";
import type { BenchServer } from "./server.ts";
import { SHAPE_NAMES, SHAPES } from "./shapes.ts";
import type { ShapeName } from "./shapes.ts";
import { tables } from "./tables.ts";

const README = join(import.meta.dirname, "README.md");
const [BEGIN, END] = ["<!-- kept results -->", "<!-- end of kept results -->"];

let options: BenchOptions;
try {
  options = benchOptions(process.argv.slice(2), Object.keys(CONTESTANTS));
} catch (error) {
  console.error((error as Error).message);
  process.exit(2);
}

const server = await startBenchServer();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void server.stop().finally(() => process.exit(1)));
}
try {
  const results = await runRounds(server);
  console.log(`\n${tables(results)}`);
  const kept = await keptResults();
  if (kept !== null) console.log(`\nKept before:\n\n${tables(kept)}`);
  if (options.keep) await keep(results);
  else console.log("\nKeep these figures with --keep.");
} finally {
  await server.stop();
}

async function keep(results: Results): Promise<void> {
  await keepResults(results);
  const page = await readFile(README, "utf8");
  const [before, after] = [page.split(BEGIN)[0], page.split(END)[1]];
  await writeFile(README, `${before}${BEGIN}\n\n${tables(results)}\n\n${END}${after}`);
}

interface Cell {
  readonly contestant: string;
  readonly shape: ShapeName;
  readonly pending: number;
}

async function cellsToRun(): Promise<Cell[]> {
  const all = options.sizes.flatMap((pending) =>
    options.shapes.flatMap((shape) => options.contestants.map((contestant) => ({ pending, shape, contestant }))),
  );
  if (!options.lean) return all;
  const kept = await keptResults();
  return all.filter((cell) => isNeeded(cell, kept));
}

async function runRounds(bench: BenchServer): Promise<Results> {
  const cells = await cellsToRun();
  const cycles = new Map<Cell, Cycles[]>(cells.map((cell) => [cell, []]));
  const start = new Map<number, Start[]>(options.sizes.map((pending) => [pending, []]));
  const inserts: Inserts[] = [];
  const latency: Latency[] = [];
  const { boxMs, measures } = options;
  for (let round = 1; round <= options.rounds; round++) {
    if (measures.includes("cycles")) {
      for (const cell of inTurn(cells, round)) cycles.get(cell)?.push(...(await runCell(bench, cell, round)));
    }
    if (measures.includes("inserts"))
      inserts.push(await say("inserts", round, measureInserts({ server: bench, boxMs })));
    if (measures.includes("latency"))
      latency.push(await say("latency", round, measureLatency({ server: bench, boxMs })));
    if (measures.includes("start")) {
      for (const [pending, figures] of start) {
        figures.push(await say(`start ${pending}`, round, measureStart({ server: bench, pending, boxMs })));
      }
    }
  }
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: machine(await bench.version()),
    note: options.note,
    rounds: options.rounds,
    box_seconds: boxMs / 1000,
    cycles: cells.flatMap((cell) => withMedians(cell, cycles.get(cell) ?? [])),
    inserts: medians(inserts),
    latency: medians(latency),
    start: [...start].flatMap(([pending, figures]) => withMedians({ pending }, figures)),
  };
}

/** Every round begins with another contestant, so that none always runs first. */
function inTurn(cells: readonly Cell[], round: number): Cell[] {
  const { contestants } = options;
  const turn = (cell: Cell) => (contestants.indexOf(cell.contestant) + round) % contestants.length;
  const group = ({ pending, shape }: Cell) =>
    options.sizes.indexOf(pending) * SHAPE_NAMES.length + SHAPE_NAMES.indexOf(shape);
  return cells.toSorted((one, other) => group(one) - group(other) || turn(one) - turn(other));
}

function withMedians<Key extends object, Figures extends object>(
  key: Key,
  rounds: readonly Figures[],
): (Key & Figures)[] {
  const figures = medians(rounds);
  return figures === null ? [] : [{ ...key, ...figures }];
}

/** A cell that fails is said and left out: the others took long enough. */
async function runCell(bench: BenchServer, cell: Cell, round: number): Promise<Cycles[]> {
  const contestant = CONTESTANTS[cell.contestant];
  if (contestant === undefined) throw new Error(`there is no contestant ${cell.contestant}`);
  const { boxMs, profile } = options;
  const { shape, pending } = cell;
  const name = `${shape} ${pending} ${cell.contestant}`;
  try {
    const measured = measureCycles({ server: bench, contestant, shape: SHAPES[shape], pending, boxMs, profile });
    return [await say(name, round, measured)];
  } catch (error) {
    console.error(`${name} failed in round ${round}:`, error);
    return [];
  }
}

/** Prints each cell as it comes: a long benchmark that is cut off has still said something. */
async function say<T>(name: string, round: number, measured: Promise<T>): Promise<T> {
  const result = await measured;
  console.log(`${round}/${options.rounds} ${name.padEnd(30)} ${JSON.stringify(result)}`);
  return result;
}
