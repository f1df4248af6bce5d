/** The results as Markdown. Pure. */
import { judge } from "./aims.ts";
import type { CyclesCell, Results } from "./results.ts";
import { SHAPES } from "./shapes.ts";
import type { ShapeName } from "./shapes.ts";

export function tables(results: Results): string {
  const { date, machine, note, rounds, box_seconds } = results;
  return [
    `${date}, ${machine}. Medians of ${rounds} rounds, ${box_seconds} s a cell.${note === "" ? "" : ` **${note}**`}`,
    ...(results.cycles.length > 0 ? cyclesTables(results.cycles) : []),
    ...(results.inserts === null && results.latency === null && results.start.length === 0 ? [] : [others(results)]),
    aims(results),
  ].join("\n\n");
}

function cyclesTables(cells: readonly CyclesCell[]): string[] {
  const rate = (cell: CyclesCell) => count(cell.cycles_per_second);
  const claim = (cell: CyclesCell) =>
    cell.claim_p50_ms === null ? "" : `${cell.claim_p50_ms} / ${cell.claim_p99_ms ?? ""}`;
  return [
    "Claim and settle, cycles a second:",
    byContestant(cells, rate),
    "One claim, p50 / p99 in ms (where it can be timed from outside):",
    byContestant(
      cells.filter((cell) => cell.claim_p50_ms !== null),
      claim,
    ),
    "WAL, bytes a task:",
    byContestant(cells, (cell) => (cell.settled === 0 ? "" : count(cell.wal_bytes_per_task))),
  ];
}

/** A row for each contestant and size, a column for each shape. */
function byContestant(cells: readonly CyclesCell[], show: (cell: CyclesCell) => string): string {
  const shapes = distinct(cells.map((cell) => cell.shape)).toSorted();
  const sizes = distinct(cells.map((cell) => cell.pending)).toSorted((a, b) => a - b);
  const rows = distinct(cells.map((cell) => cell.contestant)).flatMap((contestant) =>
    sizes.map((pending) => [
      contestant,
      count(pending),
      ...shapes.map((shape) => {
        const found = cells.find(
          (cell) => cell.contestant === contestant && cell.pending === pending && cell.shape === shape,
        );
        return found === undefined ? "" : show(found);
      }),
    ]),
  );
  return table(["", "pending", ...shapes.map((shape: ShapeName) => `${shape}: ${SHAPES[shape].title}`)], rows);
}

function others({ inserts, latency, start }: Results): string {
  const rows: string[][] = [];
  if (inserts !== null) {
    const share = (part: number) => `${Math.round(part * 100)}%`;
    rows.push(
      [
        "single-row inserts a second, 8 clients: tasks / plain table",
        `${count(inserts.single_rows_per_second)} / ${count(inserts.single_rows_per_second_plain)} (${share(inserts.single_share)})`,
      ],
      [
        "COPY, rows a second: tasks / plain table",
        `${count(inserts.copy_rows_per_second)} / ${count(inserts.copy_rows_per_second_plain)} (${share(inserts.copy_share)})`,
      ],
    );
  }
  if (latency !== null) {
    rows.push(
      ["INSERT → launch, idle, p50 / p99", `${latency.idle_p50_ms} / ${latency.idle_p99_ms} ms`],
      ["INSERT → launch, 500 tasks a second, p50 / p99", `${latency.loaded_p50_ms} / ${latency.loaded_p99_ms} ms`],
    );
  }
  for (const cell of start) {
    rows.push([
      `engine started on ${count(cell.pending)} pending: leads / first launch after / memory / CPU`,
      `${cell.leads_after_ms} ms / ${cell.first_launch_after_ms} ms / ${cell.memory_mb} MB / ${cell.cpu_percent}%`,
    ]);
  }
  return table(["figure", "value"], rows);
}

function aims(results: Results): string {
  return table(
    ["aim", "value", ""],
    judge(results).map(({ aim, value, reached }) => [aim, value, reached ? "reached" : "**missed**"]),
  );
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}

function distinct<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}
