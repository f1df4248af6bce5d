/** What a day may do to a database, and what not. Pure. */
import type { Comparison } from "./day.ts";
import type { TableFigures } from "./figures.ts";

/** Of the median of the copy from the start. */
const MOST_SLOWER = 1.5;
/** Below a few milliseconds a factor says nothing. */
const LEAST_MS = 3;
/** Tables and indexes grow and shrink by some pages. */
const SLACK_BYTES = 512 * 1024;
/** Indexes on random ids settle at about two thirds full. */
const MOST_BIGGER = 1.6;
/** Of the copy's median, for each thousand tasks since the snapshot was taken: measured 0.2 to 0.4 for a claim. */
const MOST_SLOWER_A_THOUSAND = 0.6;

export function agedProblems(measured: Comparison): string[] {
  return slowerProblems("at the end of the day", measured);
}

/** Dead rows that stay, tables and indexes that have grown more than their rows. */
export function sizeProblems(
  start: ReadonlyMap<string, TableFigures>,
  end: ReadonlyMap<string, TableFigures>,
): string[] {
  const problems: string[] = [];
  for (const now of end.values()) {
    const before = start.get(now.table);
    if (before === undefined) continue;
    // Autovacuum goes by an estimate.
    if (now.dead_rows > 2 * now.vacuum_threshold + 500) {
      problems.push(`${now.table}: ${now.dead_rows} dead rows, and autovacuum begins at ${now.vacuum_threshold}`);
    }
    const growth = Math.max(1, now.live_rows / Math.max(1, before.live_rows));
    const sizes: [string, number, number][] = [
      [now.table, before.heap_bytes, now.heap_bytes],
      [`${now.table}, long values`, before.toast_bytes, now.toast_bytes],
      ...Object.entries(now.indexes).map(([name, bytes]): [string, number, number] => [
        name,
        before.indexes[name] ?? 0,
        bytes,
      ]),
    ];
    for (const [name, then, bytes] of sizes) {
      if (bytes <= then * growth * MOST_BIGGER + SLACK_BYTES) continue;
      problems.push(`${name}: ${bytes} bytes, ${then} at the start; rows ${before.live_rows} → ${now.live_rows}`);
    }
  }
  return problems;
}

/** Under an open transaction nothing can be cleared away: what it costs grows with the tasks meanwhile, and no faster. */
export function underSnapshotProblems(measured: Comparison, tasks: number): string[] {
  const most = MOST_SLOWER + (tasks / 1000) * MOST_SLOWER_A_THOUSAND;
  return slowerProblems(`under an open transaction, after ${tasks} tasks,`, measured, most);
}

export function afterSnapshotProblems(measured: Comparison): string[] {
  return slowerProblems("after the open transaction", measured);
}

function slowerProblems(when: string, measured: Comparison, most = MOST_SLOWER): string[] {
  const slower = (what: string, ms: number, young: number) =>
    ms > LEAST_MS && ms > young * most ? [`${when} a ${what} takes ${ms} ms, ${young} in the copy from the start`] : [];
  return [
    ...slower("claim", measured.claimMs, measured.youngClaimMs),
    ...slower("settle", measured.settleMs, measured.youngSettleMs),
  ];
}
