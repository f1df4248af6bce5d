/**
 * `npm run bench`: INSERT → launch latency, claim-to-settle rate and the engine at rest, on a durable
 * embedded Postgres of its own and an engine in a process of its own. Writes results.json and prints the
 * new numbers beside the ones of the last commit that changed them.
 */
import { execFileSync, fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { pino } from "pino";
import { startEmbeddedPostgres } from "../engine/embedded-postgres/embedded-postgres.ts";
import { ensureLogins } from "../engine/embedded-postgres/logins.ts";
import { migrateDatabase } from "../engine/store/migrate.ts";

const LATENCY_SAMPLES = 300;
const RATE_TASKS = 3_000;
const REST_SECONDS = 20;
/** As in bin/myzel. */
const ENGINE_FLAGS = ["--max-semi-space-size=2"];
const RESULTS = join(import.meta.dirname, "results.json");

interface Results {
  insert_to_launch_p50_ms: number;
  insert_to_launch_p99_ms: number;
  settled_per_second_own_addressees: number;
  settled_per_second_one_addressee: number;
  engine_at_rest_rss_mb: number;
  engine_at_rest_cpu_percent: number;
}

const dataDir = await mkdtemp(join(tmpdir(), "myzel-bench-"));
const log = pino({ level: "silent" });
const server = await startEmbeddedPostgres({ dataDir, log });
try {
  await migrateDatabase({ url: server.adminUrl, rolePrefix: "myzel", log });
  const logins = await ensureLogins({ adminUrl: server.adminUrl, rolePrefix: "myzel", dataDir });
  await (await startEngine(logins.engine)).stop(); // fills the cache of compiled code, as any earlier start does
  const engine = await startEngine(logins.engine);
  try {
    await report(await measure(engine, logins.operator));
  } finally {
    await engine.stop();
  }
} finally {
  await server.stop();
  await rm(dataDir, { recursive: true, force: true });
}

interface Engine {
  child: ChildProcess;
  /** Task id → when the launcher was called, ns of the monotonic clock that all processes share. */
  launched: Map<string, bigint>;
  stop(): Promise<void>;
}

async function startEngine(url: string): Promise<Engine> {
  const child = fork(join(import.meta.dirname, "engine-process.ts"), {
    env: { ...process.env, BENCH_ENGINE_URL: url, NODE_COMPILE_CACHE: join(tmpdir(), "myzel-bench-node") },
    execArgv: ENGINE_FLAGS,
  });
  const launched = new Map<string, bigint>();
  await new Promise<void>((resolve, reject) => {
    child.on("message", (message: { launched?: string; at?: string; leads?: boolean }) => {
      if (message.launched !== undefined) launched.set(message.launched, BigInt(message.at ?? 0));
      if (message.leads === true) resolve();
    });
    child.once("exit", (code) => reject(new Error(`the engine ended with exit code ${code}`)));
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    child,
    launched,
    stop: async () => {
      if (child.connected) child.send("stop");
      await ended;
    },
  };
}

async function measure(engine: Engine, operatorUrl: string): Promise<Results> {
  const client = new pg.Client({ connectionString: operatorUrl });
  await client.connect();
  try {
    const latencies = await insertToLaunch(engine, client);
    const own = await settledPerSecond(client, "'worker-' || i");
    const one = await settledPerSecond(client, "'worker'", RATE_TASKS / 10);
    await client.query("delete from tasks");
    await delay(2_000);
    return {
      insert_to_launch_p50_ms: quantile(latencies, 0.5),
      insert_to_launch_p99_ms: quantile(latencies, 0.99),
      settled_per_second_own_addressees: own,
      settled_per_second_one_addressee: one,
      ...(await atRest(engine.child.pid ?? 0)),
    };
  } finally {
    await client.end();
  }
}

/** Milliseconds from before the INSERT is sent to the launcher being called, the engine asleep each time. */
async function insertToLaunch(engine: Engine, client: pg.Client): Promise<number[]> {
  const latencies: number[] = [];
  for (let i = 0; i < LATENCY_SAMPLES + 20; i++) {
    await delay(30);
    const id = crypto.randomUUID();
    const before = process.hrtime.bigint();
    await client.query("insert into tasks (id, addressee, prompt) values ($1, 'latency', 'p')", [id]);
    while (!engine.launched.has(id)) await delay(1);
    if (i >= 20) latencies.push(Number((engine.launched.get(id) ?? 0n) - before) / 1e6);
  }
  return latencies;
}

/** Tasks a second from the INSERT of all of them at once to the last one completed. */
async function settledPerSecond(client: pg.Client, addressee: string, count = RATE_TASKS): Promise<number> {
  const begin = performance.now();
  await client.query(`insert into tasks (addressee, prompt) select ${addressee}, 'p' from generate_series(1, $1) i`, [
    count,
  ]);
  for (;;) {
    const { rows } = await client.query("select exists (select from tasks where status <> 'completed') as busy");
    if (!rows[0].busy) break;
    await delay(20);
  }
  return Math.round(count / ((performance.now() - begin) / 1000));
}

async function atRest(pid: number): Promise<Pick<Results, "engine_at_rest_rss_mb" | "engine_at_rest_cpu_percent">> {
  const before = await cpuTicks(pid);
  await delay(REST_SECONDS * 1000);
  const ticks = (await cpuTicks(pid)) - before;
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const rssKb = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
  return { engine_at_rest_rss_mb: Math.round(rssKb / 1024), engine_at_rest_cpu_percent: round(ticks / REST_SECONDS) };
}

/** utime + stime of /proc/pid/stat, in hundredths of a second. */
async function cpuTicks(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

async function report(results: Results): Promise<void> {
  const before = JSON.parse(await readFile(RESULTS, "utf8").catch(() => "{}")) as { results?: Partial<Results> };
  const commit = lastCommit();
  console.log(`${"".padEnd(36)}${"now".padStart(10)}${`at ${commit}`.padStart(14)}`);
  for (const [name, value] of Object.entries(results)) {
    const old = before.results?.[name as keyof Results];
    console.log(`${name.padEnd(36)}${String(value).padStart(10)}${String(old ?? "-").padStart(14)}`);
  }
  if (process.argv.includes("--keep")) {
    const machine = `${cpus().length} × ${cpus()[0]?.model ?? "unknown CPU"}, Node ${process.version}`;
    const kept = { date: new Date().toISOString().slice(0, 10), machine, results };
    await writeFile(RESULTS, `${JSON.stringify(kept, null, 2)}\n`);
  } else {
    console.log("\nKeep these numbers with: npm run bench -- --keep");
  }
}

function lastCommit(): string {
  try {
    return execFileSync("git", ["log", "-1", "--format=%h", "--", RESULTS], { encoding: "utf8" }).trim() || "-";
  } catch {
    return "-";
  }
}
