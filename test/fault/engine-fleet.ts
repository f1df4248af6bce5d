/** Real engine processes on one database, each behind a proxy of its own; who of them leads; what they complain of. */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

interface Closing {
  close(): Promise<unknown>;
}

export interface FaultyEngine<Proxy extends Closing> {
  readonly index: number;
  readonly proxy: Proxy;
  /** Null while it is down. */
  child: ChildProcess | null;
  /** The epoch in which it said that it leads; 0: not in this life. */
  epoch: number;
  /** Stopped by SIGSTOP. */
  paused: boolean;
}

export interface EngineFleet<Proxy extends Closing> {
  readonly engines: readonly FaultyEngine<Proxy>[];
  /** The highest epoch that an engine said. */
  newestEpoch(): number;
  /** The engine that last said that it leads, if its process is up. */
  leader(): FaultyEngine<Proxy> | null;
  /** Starts it where it is down. */
  start(engine: FaultyEngine<Proxy>): void;
  /** Sends a signal that ends it, and waits for its end. */
  end(engine: FaultyEngine<Proxy>, signal: "SIGKILL" | "SIGTERM"): Promise<void>;
  /** Engines that ended by themselves: none may. */
  readonly crashes: readonly string[];
  /** Messages of level error, with how often each came. */
  readonly complaints: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

export interface FleetOptions<Proxy extends Closing> {
  count: number;
  /** Path of a program that calls `runFaultyEngine` (run-engine.ts). */
  program: string;
  newProxy(): Promise<Proxy>;
  /** What the program of this proxy's engine is told. */
  environmentOf(proxy: Proxy): Record<string, string>;
}

/** As in bin/myzel. */
const NODE_FLAGS = ["--max-semi-space-size=2"];
const LONGEST_END_MS = 30_000;

/** `count` engines, none started yet. */
export async function engineFleet<Proxy extends Closing>(options: FleetOptions<Proxy>): Promise<EngineFleet<Proxy>> {
  const engines: FaultyEngine<Proxy>[] = [];
  for (let index = 0; index < options.count; index++) {
    engines.push({ index, proxy: await options.newProxy(), child: null, epoch: 0, paused: false });
  }
  const crashes: string[] = [];
  const complaints = new Map<string, number>();
  let newestEpoch = 0;

  const start = (engine: FaultyEngine<Proxy>): void => {
    if (engine.child !== null) return;
    const child = fork(options.program, {
      env: { PATH: process.env["PATH"], ...options.environmentOf(engine.proxy) },
      execArgv: NODE_FLAGS,
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    engine.child = child;
    engine.epoch = 0;
    child.on("message", ({ epoch }: { epoch: number }) => {
      engine.epoch = epoch;
      newestEpoch = Math.max(newestEpoch, epoch);
    });
    noteComplaints(child, complaints);
    const said = lastWords(child);
    child.once("exit", (code, signal) => {
      if (engine.child !== child) return;
      engine.child = null;
      crashes.push(`engine ${engine.index} ended by itself (${code ?? signal}): ${said()}`);
    });
  };
  const end = async (engine: FaultyEngine<Proxy>, signal: "SIGKILL" | "SIGTERM"): Promise<void> => {
    const { child } = engine;
    if (child === null) return;
    engine.child = null; // so that its exit is expected
    engine.paused = false;
    const exited = child.exitCode === null && child.signalCode === null ? once(child, "exit") : Promise.resolve();
    child.kill(signal);
    child.kill("SIGCONT"); // where it is paused, it dies now
    const patience = setTimeout(() => child.kill("SIGKILL"), LONGEST_END_MS);
    await exited;
    clearTimeout(patience);
  };
  return {
    engines,
    newestEpoch: () => newestEpoch,
    leader: () => engines.find((one) => one.child !== null && one.epoch > 0 && one.epoch === newestEpoch) ?? null,
    start,
    end,
    crashes,
    complaints,
    close: async () => {
      await Promise.all(engines.map((engine) => end(engine, "SIGKILL")));
      await Promise.all(engines.map((engine) => engine.proxy.close()));
    },
  };
}

function noteComplaints(child: ChildProcess, complaints: Map<string, number>): void {
  if (child.stdout === null) return;
  createInterface({ input: child.stdout }).on("line", (line) => {
    try {
      const { level, msg, err } = JSON.parse(line) as { level: number; msg: string; err?: { message?: string } };
      if (level < 50) return;
      const complaint = `${msg}: ${err?.message ?? ""}`.replaceAll(/[0-9a-f-]{36}(-\d+)?/g, "<id>").slice(0, 160);
      complaints.set(complaint, (complaints.get(complaint) ?? 0) + 1);
    } catch {
      // Not a line of the log.
    }
  });
}

function lastWords(child: ChildProcess): () => string {
  let words = "";
  child.stderr?.on("data", (chunk: Buffer) => (words = (words + chunk.toString()).slice(-2_000)));
  return () => words;
}
