/** The aims, each judged from the results. Pure. An aim whose figures were not measured is not judged. */
import type { CyclesCell, Results } from "./results.ts";
import { SHAPE_NAMES } from "./shapes.ts";
import type { ShapeName } from "./shapes.ts";
import { round } from "./figures.ts";

export interface Aim {
  readonly aim: string;
  readonly value: string;
  readonly reached: boolean;
}

const SMALL = 10_000;
const LARGE = 1_000_000;
/** How many times the better peer, at a million pending. */
const AHEAD: Readonly<Record<ShapeName, number>> = { a: 5, b: 1, c: 1, d: 10, e: 10, f: 10 };

/** Shapes in which Myzel is compared with the floor. */
const AGAINST_FLOOR: readonly ShapeName[] = ["b", "c"];

/** What a cell is of. */
type CellKey = Pick<CyclesCell, "shape" | "pending" | "contestant">;

/**
 * Whether the aims need this cell measured anew: of the peers, only the one that was better in these results, where they
 * have it at all.
 */
export function isNeeded({ shape, pending, contestant }: CellKey, kept: Results | null): boolean {
  if (contestant === "floor") return AGAINST_FLOOR.includes(shape);
  if (!isPeer(contestant)) return true;
  const peers = (kept?.cycles ?? []).filter(
    (one) => one.shape === shape && one.pending === pending && isPeer(one.contestant),
  );
  const best = peers.toSorted((one, other) => other.cycles_per_second - one.cycles_per_second)[0];
  return best === undefined || best.contestant === contestant;
}

export function judge(results: Results): Aim[] {
  const aims = SHAPE_NAMES.flatMap((shape) => [
    flat(results, shape),
    againstPeers(results, shape, { pending: SMALL, times: 1 }),
    againstPeers(results, shape, { pending: LARGE, times: AHEAD[shape] }),
    ...(AGAINST_FLOOR.includes(shape) ? [shareOfFloor(results, shape)] : []),
  ]);
  const { inserts, latency, start } = results;
  const large = start.find((cell) => cell.pending === LARGE);
  const small = start.find((cell) => cell.pending === SMALL);
  return [
    ...aims,
    inserts && atLeast("single-row inserts against the plain table", inserts.single_share, 0.85),
    inserts && atLeast("COPY against the plain table", inserts.copy_share, 0.6),
    latency && atMost("INSERT → launch p50, idle (ms)", latency.idle_p50_ms, 5),
    latency && atMost("INSERT → launch p99, idle (ms)", latency.idle_p99_ms, 25),
    latency && atMost("INSERT → launch p99, 500 tasks/s (ms)", latency.loaded_p99_ms, 100),
    large && atMost("engine start on 1 M pending, to its first launch (ms)", large.first_launch_after_ms, 2_000),
    large && small && atMost("engine's memory at 1 M against 10 k", round(large.memory_mb / small.memory_mb), 1.2),
  ].filter((aim) => aim !== null && aim !== undefined);
}

function flat(results: Results, shape: ShapeName): Aim | null {
  const small = cell(results, "myzel-sql", shape, SMALL)?.claim_p50_ms;
  const large = cell(results, "myzel-sql", shape, LARGE)?.claim_p50_ms;
  if (!small || !large) return null;
  return atMost(`${shape}: claim p50 at 1 M against 10 k`, round(large / small), 1.5);
}

function againstPeers(results: Results, shape: ShapeName, size: { pending: number; times: number }): Aim | null {
  const own = cell(results, "myzel", shape, size.pending);
  const peers = results.cycles.filter(
    (one) => one.shape === shape && one.pending === size.pending && isPeer(one.contestant),
  );
  if (own === undefined || peers.length === 0) return null;
  const best = Math.max(...peers.map((one) => one.cycles_per_second));
  // A peer that finished nothing at all is beaten by anything.
  const times = best === 0 ? Infinity : round(own.cycles_per_second / best);
  return atLeast(
    `${shape}: cycles at ${size.pending === LARGE ? "1 M" : "10 k"} against the better peer`,
    times,
    size.times,
  );
}

function isPeer(contestant: string): boolean {
  return /^(graphile|pg-boss)/.test(contestant);
}

function shareOfFloor(results: Results, shape: ShapeName): Aim | null {
  const own = cell(results, "myzel", shape, LARGE) ?? cell(results, "myzel", shape, SMALL);
  const floor = own && cell(results, "floor", shape, own.pending);
  if (own === undefined || floor === undefined) return null;
  return atLeast(`${shape}: cycles against the floor`, round(own.cycles_per_second / floor.cycles_per_second), 0.6);
}

function cell(results: Results, contestant: string, shape: ShapeName, pending: number): CyclesCell | undefined {
  return results.cycles.find((one) => one.contestant === contestant && one.shape === shape && one.pending === pending);
}

function atMost(name: string, value: number, limit: number): Aim {
  return { aim: `${name} ≤ ${limit}`, value: String(value), reached: value <= limit };
}

function atLeast(name: string, value: number, limit: number): Aim {
  return { aim: `${name} ≥ ${limit}`, value: String(value), reached: value >= limit };
}
