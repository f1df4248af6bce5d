/** Flags of `npm run bench:queue`, each with a default; a wrong one is said in a sentence. */
import { parseArgs } from "node:util";
import { SHAPE_NAMES } from "./shapes.ts";
import type { ShapeName } from "./shapes.ts";

export const MEASURES = ["cycles", "inserts", "latency", "start"] as const;
export type Measure = (typeof MEASURES)[number];

export interface BenchOptions {
  readonly measures: readonly Measure[];
  readonly shapes: readonly ShapeName[];
  /** Pending tasks. */
  readonly sizes: readonly number[];
  readonly contestants: readonly string[];
  /** Only the cells that an aim is judged by: of the peers the one that was better before, the floor where it counts. */
  readonly lean: boolean;
  readonly rounds: number;
  /** How long one cell may take, without making its backlog. */
  readonly boxMs: number;
  /** Prints where the server's time went, cell by cell. */
  readonly profile: boolean;
  /** Writes results.json and the tables of README.md. */
  readonly keep: boolean;
  /** Said in the results, such as "taken on a busy machine". */
  readonly note: string;
}

const HELP = `npm run bench:queue -- [flags]
  --measures cycles,inserts,latency,start   default: all
  --shapes a,b,c,d,e,f                      default: all
  --sizes 10k,100k,1m                       default: all three
  --contestants <names>                     default: all; --contestants ? lists them
  --lean                                    of the peers only the one that was better in the kept results,
                                            of the floor only b and c
  --rounds 3                                medians of so many
  --box 5                                   seconds a cell
  --quick                                   shapes a,b,d at 10k, one round of 2 s
  --profile                                 statements by time, cell by cell (slows the cells down)
  --keep                                    write results.json and the tables of README.md
  --note <text>                             said beside the results`;

/** @throws Error with a sentence, or with the help where that was asked for */
export function benchOptions(args: readonly string[], known: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      measures: { type: "string", default: MEASURES.join(",") },
      shapes: { type: "string" },
      sizes: { type: "string" },
      contestants: { type: "string", default: known.join(",") },
      lean: { type: "boolean", default: false },
      rounds: { type: "string" },
      box: { type: "string" },
      quick: { type: "boolean", default: false },
      profile: { type: "boolean", default: false },
      keep: { type: "boolean", default: false },
      note: { type: "string", default: "" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) throw new Error(HELP);
  const quick = values.quick;
  return {
    measures: choose("--measures", values.measures, MEASURES),
    shapes: choose("--shapes", values.shapes ?? (quick ? "a,b,d" : SHAPE_NAMES.join(",")), SHAPE_NAMES),
    sizes: (values.sizes ?? (quick ? "10k" : "10k,100k,1m")).split(",").map(size),
    contestants: choose("--contestants", values.contestants, known),
    lean: values.lean,
    rounds: number("--rounds", values.rounds ?? (quick ? "1" : "3")),
    boxMs: number("--box", values.box ?? (quick ? "2" : "5")) * 1000,
    profile: values.profile,
    keep: values.keep,
    note: values.note,
  };
}

function choose<T extends string>(flag: string, text: string, known: readonly T[]): T[] {
  return text.split(",").map((name) => {
    const found = known.find((one) => one === name);
    if (found === undefined) throw new Error(`${flag}: "${name}" is none of ${known.join(", ")}`);
    return found;
  });
}

/** `10k`, `1m`, `500` → a whole number. */
function size(text: string): number {
  const match = /^(\d+)([km]?)$/.exec(text.toLowerCase());
  if (match === null) throw new Error(`--sizes: "${text}" is no size; write it like 10k or 1m`);
  return Number(match[1]) * (match[2] === "k" ? 1_000 : match[2] === "m" ? 1_000_000 : 1);
}

function number(flag: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`${flag}: "${text}" is no number above 0`);
  return value;
}
