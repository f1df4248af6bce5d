/** What a benchmark found: medians over its rounds, and where and when they were taken. Pure but for the file. */
import { readFile, writeFile } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { median } from "./figures.ts";
import type { Cycles } from "./measures/cycles.ts";
import type { Inserts } from "./measures/inserts.ts";
import type { Latency } from "./measures/latency.ts";
import type { Start } from "./measures/start.ts";
import type { ShapeName } from "./shapes.ts";

const RESULTS = join(import.meta.dirname, "results.json");

export type CyclesCell = Cycles & { shape: ShapeName; pending: number; contestant: string };
export type StartCell = Start & { pending: number };

export interface Results {
  date: string;
  machine: string;
  note: string;
  rounds: number;
  box_seconds: number;
  cycles: CyclesCell[];
  inserts: Inserts | null;
  latency: Latency | null;
  start: StartCell[];
}

/** Where these figures come from. Figures of another machine say nothing of this one. */
export function machine(postgresVersion: string): string {
  const gib = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} × ${cpus()[0]?.model ?? "unknown CPU"}, ${gib} GiB, Node ${process.version}, Postgres ${postgresVersion}`;
}

/** The medians of the same measure over several rounds, figure by figure. */
export function medians<T extends object>(rounds: readonly T[]): T | null {
  const [first] = rounds;
  if (first === undefined) return null;
  const figures = Object.keys(first).map((name) => {
    const values = rounds.map((round) => (round as Record<string, number | null>)[name] ?? null);
    return [name, median(values)];
  });
  return Object.fromEntries(figures) as T;
}

/** The kept results; null where there are none of this form. */
export async function keptResults(): Promise<Results | null> {
  const text = await readFile(RESULTS, "utf8").catch(() => "{}");
  const kept = JSON.parse(text) as Partial<Results>;
  return kept.cycles === undefined ? null : (kept as Results);
}

export async function keepResults(results: Results): Promise<void> {
  await writeFile(RESULTS, `${JSON.stringify(results, null, 2)}\n`);
}
