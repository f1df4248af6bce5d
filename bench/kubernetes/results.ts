/** What the Kubernetes benchmark found, where and when, against its aims. Pure but for the files. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { machine } from "../queue/results.ts";
import type { CpuTimes } from "./cpu-time.ts";
import type { Creates } from "./measures/creates.ts";
import type { Ends } from "./measures/ends.ts";
import type { Memory } from "./measures/memory.ts";

const RESULTS = join(import.meta.dirname, "results.json");
const README = join(import.meta.dirname, "README.md");
const BEGIN = "<!-- results -->";
const END = "<!-- end of results -->";

export interface Results {
  date: string;
  machine: string;
  note: string;
  /** Null where it was not measured. */
  creates: Creates | null;
  ends: Ends | null;
  memory: Memory[];
}

/** The aims, from the issue that asked for the launcher. */
const SHARE_AIM = 0.9;
const COMPLETED_AIM_MS = 150;
/** Such a cell shows how far it came, not the engine at rest. */
const STILL_CREATING = " (more were being created: not at rest)";
const MEMORY_AIM = { live: 10_000, mb: 250 };

export function newResults(postgresVersion: string, note: string): Results {
  const date = new Date().toISOString().slice(0, 10);
  return { date, machine: machine(postgresVersion), note, creates: null, ends: null, memory: [] };
}

/** Writes results.json and the tables of README.md; what was not measured this time stays as it was kept. */
export async function keepResults(results: Results): Promise<void> {
  const kept = JSON.parse(await readFile(RESULTS, "utf8").catch(() => "{}")) as Partial<Results>;
  const merged: Results = {
    ...results,
    creates: results.creates ?? kept.creates ?? null,
    ends: results.ends ?? kept.ends ?? null,
    memory: results.memory.length > 0 ? results.memory : (kept.memory ?? []),
  };
  await writeFile(RESULTS, `${JSON.stringify(merged, null, 2)}\n`);
  const page = await readFile(README, "utf8");
  const [head = ""] = page.split(BEGIN);
  const [, tail = ""] = page.split(END);
  await writeFile(README, `${head}${BEGIN}\n\n${tables(merged)}\n\n${END}${tail}`);
}

/** As Markdown. */
export function tables(results: Results): string {
  const { date, machine: where, note, creates, ends, memory } = results;
  const rows = [
    ...(creates === null ? [] : createRows(creates)),
    ...(ends === null ? [] : endRows(ends)),
    ...memory.flatMap(memoryRows),
  ];
  return [
    `${date}, ${where}.${note === "" ? "" : ` ${note}`}`,
    table(["figure", "value", "aim", ""], rows),
    ...(creates === null ? [] : ["Processor time while the Jobs were created, ms a Job:", cpuTable(creates)]),
  ].join("\n\n");
}

function createRows({ engine_per_second, bare_per_second, share, jobs_a_turn, engine_turns }: Creates): string[][] {
  const rounds = `${engine_turns.length} rounds of ${jobs_a_turn} each`;
  return [
    [`Jobs created a second, engine / bare loop (${rounds})`, `${engine_per_second} / ${bare_per_second}`, "", ""],
    ["the engine's share of the bare loop", percent(share), `≥ ${percent(SHARE_AIM)}`, reached(share >= SHARE_AIM)],
  ];
}

function endRows(ends: Ends): string[][] {
  const { report_to_completed_p50_ms: p50, report_to_completed_p99_ms: p99 } = ends;
  return [
    [
      `report stored → task completed, p50 / p99 (${ends.runs} runs)`,
      `${p50} / ${p99} ms`,
      `p99 ≤ ${COMPLETED_AIM_MS} ms`,
      reached(p99 <= COMPLETED_AIM_MS),
    ],
    [
      "pod Succeeded → slot free, p50 / p99",
      `${ends.pod_ended_to_slot_free_p50_ms} / ${ends.pod_ended_to_slot_free_p99_ms} ms`,
      "",
      "",
    ],
  ];
}

function memoryRows(cell: Memory): string[][] {
  const live = cell.live.toLocaleString("en-US");
  const counts = cell.live >= MEMORY_AIM.live;
  const highest = Math.max(cell.at_rest_rss_mb, cell.peak_rss_mb);
  const rows = [
    [
      `engine's memory, ${live} live Jobs${cell.live < cell.wanted ? STILL_CREATING : ""}: at rest / highest so far`,
      `${cell.at_rest_rss_mb} / ${cell.peak_rss_mb} MB`,
      counts ? `≤ ${MEMORY_AIM.mb} MB` : "",
      counts ? reached(highest <= MEMORY_AIM.mb) : "",
    ],
    [
      `${live} live Jobs: running after; created a second meanwhile; engine's processor at rest`,
      `${cell.running_after_seconds} s; ${cell.created_per_second}; ${cell.at_rest_cpu_percent}%`,
      "",
      "",
    ],
  ];
  if (cell.successor_at_rest_rss_mb !== null) {
    const figures = `${cell.successor_at_rest_rss_mb} / ${cell.successor_peak_rss_mb} MB`;
    rows.push([`an engine that takes ${live} live Jobs over: at rest / highest`, figures, "", ""]);
  }
  return rows;
}

function cpuTable({ engine_cpu_ms_per_job: engine, bare_cpu_ms_per_job: bare }: Creates): string {
  const names = Object.keys(engine);
  const row = (title: string, times: CpuTimes): string[] => [title, ...names.map((name) => String(times[name] ?? ""))];
  return table(["", ...names], [row("engine", engine), row("bare loop", bare)]);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

function percent(share: number): string {
  return `${Math.round(share * 100)}%`;
}

function reached(isSo: boolean): string {
  return isSo ? "reached" : "**missed**";
}
