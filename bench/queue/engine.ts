/** Starts engine-process.ts and hears what it tells. */
import { fork } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** As in bin/myzel. */
const ENGINE_FLAGS = ["--max-semi-space-size=2"];

/** The engine's global limit: more than any one batch, as a busy cluster has it. */
const LIVE_RUNS = 256;

export interface Engine {
  readonly pid: number;
  /** Milliseconds from the start of the process until it leads. */
  readonly leadsAfterMs: number;
  /** The same until it calls the launcher for the first time; null as long as it has not. */
  firstLaunchAfterMs(): number | null;
  /** Task id → when the launcher was called, ns of the monotonic clock that all processes share; where asked for. */
  readonly launched: ReadonlyMap<string, bigint>;
  stop(): Promise<void>;
}

interface Told {
  launched?: string;
  at?: string;
  leads?: boolean;
  settled?: number;
}

/** Resolves once it leads. */
export async function startEngine(options: {
  url: string;
  /** Where Node keeps compiled code between starts, as bin/myzel has it. */
  cacheDir: string;
  /** Live runs that are there already and stay; beside them the engine may have `LIVE_RUNS`. */
  held?: number;
  tellLaunches?: boolean;
  onSettled?: (count: number) => void;
}): Promise<Engine> {
  const begin = process.hrtime.bigint();
  const since = (at: bigint) => Number(at - begin) / 1e6;
  const child = fork(join(import.meta.dirname, "engine-process.ts"), {
    env: {
      ...process.env,
      BENCH_ENGINE_URL: options.url,
      BENCH_MAX_LIVE_RUNS: String((options.held ?? 0) + LIVE_RUNS),
      BENCH_TELL_LAUNCHES: options.tellLaunches ? "yes" : "no",
      NODE_COMPILE_CACHE: join(options.cacheDir, "node-cache"),
    },
    execArgv: ENGINE_FLAGS,
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const launched = new Map<string, bigint>();
  let firstLaunchAfterMs: number | null = null;
  await new Promise<void>((resolve, reject) => {
    child.on("message", (told: Told) => {
      if (told.launched !== undefined) {
        const at = BigInt(told.at ?? 0);
        launched.set(told.launched, at);
        firstLaunchAfterMs ??= since(at);
      }
      if (told.settled !== undefined) options.onSettled?.(told.settled);
      if (told.leads === true) resolve();
    });
    child.once("exit", (code) => reject(new Error(`the engine ended with exit code ${code}`)));
  });
  return {
    pid: child.pid ?? 0,
    leadsAfterMs: since(process.hrtime.bigint()),
    firstLaunchAfterMs: () => firstLaunchAfterMs,
    launched,
    stop: async () => {
      if (child.connected) child.send("stop");
      await ended;
    },
  };
}

/** Resident memory, MB. */
export async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
}

/** utime + stime of /proc/pid/stat, in hundredths of a second. */
export async function cpuTicks(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}
