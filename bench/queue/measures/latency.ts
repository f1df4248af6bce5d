/**
 * INSERT → launch: from before a single INSERT is sent to the launcher being called. Idle: the engine sleeps
 * each time. Loaded: a steady stream of tasks, sent when they are due whether or not earlier ones are done,
 * each counted from when it was due.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { myzelLogins, prepareMyzel } from "../contestants/myzel-database.ts";
import { startEngine } from "../engine.ts";
import type { Engine } from "../engine.ts";
import { quantile } from "../figures.ts";
import type { BenchServer } from "../server.ts";

const IDLE_SAMPLES = 300;
const IDLE_PAUSE_MS = 30;
const WARM_UP_SAMPLES = 20;
const TASKS_PER_SECOND = 500;
const CLIENTS = 8;
const DEADLINE_MS = 60_000;

export interface Latency {
  idle_p50_ms: number;
  idle_p99_ms: number;
  loaded_p50_ms: number;
  loaded_p99_ms: number;
}

export async function measureLatency(options: { server: BenchServer; boxMs: number }): Promise<Latency> {
  const { server, boxMs } = options;
  await server.template("myzel", (url) => prepareMyzel(url, server));
  const url = await server.clone("myzel");
  const logins = await myzelLogins({ url, server });
  const engine = await startEngine({ url: logins.engine, cacheDir: server.dataDir, tellLaunches: true });
  const pool = new pg.Pool({ connectionString: logins.operator, max: CLIENTS });
  try {
    const idle = await idleLatencies(engine, pool);
    const loaded = await loadedLatencies(engine, pool, boxMs);
    return {
      idle_p50_ms: quantile(idle, 0.5),
      idle_p99_ms: quantile(idle, 0.99),
      loaded_p50_ms: quantile(loaded, 0.5),
      loaded_p99_ms: quantile(loaded, 0.99),
    };
  } finally {
    await pool.end();
    await engine.stop();
    await server.drop(url);
  }
}

async function idleLatencies(engine: Engine, pool: pg.Pool): Promise<number[]> {
  const latencies: number[] = [];
  for (let sample = 0; sample < WARM_UP_SAMPLES + IDLE_SAMPLES; sample++) {
    await delay(IDLE_PAUSE_MS);
    const id = randomUUID();
    const before = process.hrtime.bigint();
    await insert(pool, id, "latency");
    const ms = msBetween(before, await launchOf(engine, id));
    if (sample >= WARM_UP_SAMPLES) latencies.push(ms);
  }
  return latencies;
}

async function loadedLatencies(engine: Engine, pool: pg.Pool, boxMs: number): Promise<number[]> {
  const due: { id: string; at: bigint }[] = [];
  const begin = process.hrtime.bigint();
  const inserts: Promise<void>[] = [];
  const count = Math.round((boxMs / 1000) * TASKS_PER_SECOND);
  while (due.length < count) {
    const at = begin + BigInt(Math.round((due.length * 1e9) / TASKS_PER_SECOND));
    if (process.hrtime.bigint() < at) {
      await delay(1);
      continue;
    }
    const id = randomUUID();
    due.push({ id, at });
    inserts.push(insert(pool, id, `own-${id}`));
  }
  await Promise.all(inserts);
  return Promise.all(due.map(async ({ id, at }) => msBetween(at, await launchOf(engine, id))));
}

async function insert(pool: pg.Pool, id: string, addressee: string): Promise<void> {
  await pool.query("insert into tasks (id, addressee, prompt) values ($1, $2, 'p')", [id, addressee]);
}

async function launchOf(engine: Engine, id: string): Promise<bigint> {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const at = engine.launched.get(id);
    if (at !== undefined) return at;
    if (performance.now() > deadline) throw new Error(`task ${id} was not launched within ${DEADLINE_MS / 1000} s`);
    await delay(1);
  }
}

function msBetween(before: bigint, after: bigint): number {
  return Number(after - before) / 1e6;
}
