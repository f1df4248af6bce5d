/**
 * The engine's resident memory with so many live Jobs, each with a pod that runs on a played node: the highest while
 * they come to be, and the highest at rest, over a while that holds a full look at everything. One engine comes from
 * size to size; at the last one another engine takes over, which has to list them all.
 */
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { startAutoKubelet } from "../../../test/kubernetes/support/auto-kubelet.ts";
import { running } from "../../../test/kubernetes/support/pod-moments.ts";
import { round } from "../../queue/figures.ts";
import { cpuTicks, residentMb } from "../../queue/engine.ts";
import type { EngineProcess } from "../engine-process.ts";
import type { Stage } from "../stage.ts";

/** Longer than the 30 s between two full looks (engine/loops/reconcile.ts). */
const REST_MS = 35_000;
const LOOK_EVERY_MS = 500;
/** To the standard error, for what is interrupted is not lost then. */
const SAY_EVERY_MS = 15_000;

export interface Memory {
  wanted: number;
  /** Live Jobs with a running pod that the engine had seen, when the measure was taken. */
  live: number;
  /** From the INSERT until all of them run. */
  running_after_seconds: number;
  /** Jobs the engine created a second meanwhile, its kubelet's calls and the controllers' beside it. */
  created_per_second: number;
  peak_rss_mb: number;
  at_rest_rss_mb: number;
  at_rest_cpu_percent: number;
  /** Of an engine that took over; null where that was not measured. */
  successor_peak_rss_mb: number | null;
  successor_at_rest_rss_mb: number | null;
}

/** @param options.patienceMs for one size: what is live by then is measured */
export async function measureMemory(
  stage: Stage,
  options: { sizes: readonly number[]; patienceMs: number },
): Promise<Memory[]> {
  const kubelet = startAutoKubelet(stage.clients, {
    namespace: stage.namespace,
    node: stage.node,
    plan: () => [{ afterMs: 0, moment: running("agent") }],
  });
  let engine = await stage.startEngine();
  try {
    const found: Memory[] = [];
    for (const wanted of options.sizes) found.push(await withLive(stage, engine, wanted, options.patienceMs));
    const last = found.at(-1);
    await engine.stop();
    engine = await stage.startEngine();
    if (last !== undefined) Object.assign(last, await successor(engine));
    return found;
  } finally {
    await engine.stop();
    await kubelet.stop();
  }
}

async function withLive(stage: Stage, engine: EngineProcess, wanted: number, patienceMs: number): Promise<Memory> {
  const before = engine.launched;
  const begin = performance.now();
  await stage.insertTasks(wanted - before);
  let createdAfterMs: number | null = null;
  let live = 0;
  let saidAt = begin;
  while (live < wanted && performance.now() - begin < patienceMs) {
    await delay(LOOK_EVERY_MS);
    if (performance.now() - saidAt > SAY_EVERY_MS) {
      saidAt = performance.now();
      console.error(`${live} of ${wanted} live, ${engine.launched} created, ${await residentMb(engine.pid)} MB`);
    }
    if (engine.launched >= wanted) createdAfterMs ??= performance.now() - begin;
    live = await seenRunning(stage);
  }
  const runningAfterMs = performance.now() - begin;
  const created = engine.launched - before;
  const rest = await atRest(engine);
  return {
    wanted,
    live,
    running_after_seconds: round(runningAfterMs / 1000),
    created_per_second: round(created / ((createdAfterMs ?? runningAfterMs) / 1000)),
    peak_rss_mb: await peakMb(engine.pid),
    at_rest_rss_mb: rest.rssMb,
    at_rest_cpu_percent: rest.cpuPercent,
    successor_peak_rss_mb: null,
    successor_at_rest_rss_mb: null,
  };
}

async function successor(engine: EngineProcess): Promise<Partial<Memory>> {
  const { rssMb } = await atRest(engine);
  return { successor_peak_rss_mb: await peakMb(engine.pid), successor_at_rest_rss_mb: rssMb };
}

/** The engine writes down the name of a pod that it has seen. */
async function seenRunning({ database }: Stage): Promise<number> {
  const seen = "select count(*)::int as n from runs where finished_at is null and pod_name is not null";
  return (await database.query(seen)).rows[0].n;
}

/** The highest of looks over the whole while, and the share of one processor. */
async function atRest({ pid }: EngineProcess): Promise<{ rssMb: number; cpuPercent: number }> {
  const ticks = await cpuTicks(pid);
  const begin = performance.now();
  let rssMb = 0;
  while (performance.now() - begin < REST_MS) {
    rssMb = Math.max(rssMb, await residentMb(pid));
    await delay(LOOK_EVERY_MS);
  }
  const spentTicks = (await cpuTicks(pid)) - ticks;
  return { rssMb, cpuPercent: round((spentTicks * 1000) / (performance.now() - begin)) };
}

async function peakMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
}
