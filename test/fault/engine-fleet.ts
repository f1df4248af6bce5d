/** Real engine processes on one database, each behind a proxy of its own; who of them leads; what they complain of. */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { startProxy } from "./proxy.ts";
import type { Proxy } from "./proxy.ts";
import { through } from "./database-server.ts";

export interface FaultyEngine {
  readonly index: number;
  readonly proxy: Proxy;
  /** Null while it is down. */
  child: ChildProcess | null;
  /** The last epoch in which it said that it leads; 0: never in this life. */
  epoch: number;
  /** Stopped by SIGSTOP. */
  paused: boolean;
}

export interface EngineFleet {
  readonly engines: readonly FaultyEngine[];
  /** The highest epoch that an engine said. */
  newestEpoch(): number;
  /** The engine that last said that it leads, if its process is up. */
  leader(): FaultyEngine | null;
  /** Starts it where it is down. */
  start(engine: FaultyEngine): void;
  /** Sends a signal that ends it, and waits for its end. */
  end(engine: FaultyEngine, signal: "SIGKILL" | "SIGTERM"): Promise<void>;
  /** Engines that ended by themselves: none may. */
  readonly crashes: string[];
  /** Messages of level error, with how often each came. */
  readonly complaints: Map<string, number>;
  close(): Promise<void>;
}

/** As in bin/myzel. */
const NODE_FLAGS = ["--max-semi-space-size=2", "--optimize-for-size"];

/** `count` engines, none started yet. */
export async function engineFleet(options: {
  count: number;
  databaseUrl: string;
  databasePort: () => number;
  jobSocket: string;
}): Promise<EngineFleet> {
  const engines: FaultyEngine[] = [];
  for (let index = 0; index < options.count; index++) {
    engines.push({ index, proxy: await startProxy(options.databasePort), child: null, epoch: 0, paused: false });
  }
  const crashes: string[] = [];
  const complaints = new Map<string, number>();
  const newestEpoch = (): number => Math.max(0, ...engines.map((engine) => engine.epoch));

  const start = (engine: FaultyEngine): void => {
    if (engine.child !== null) return;
    const child = fork(join(import.meta.dirname, "engine-process.ts"), {
      env: {
        PATH: process.env["PATH"],
        FAULT_ENGINE_URL: through(options.databaseUrl, engine.proxy.port),
        FAULT_JOB_SOCKET: options.jobSocket,
      },
      execArgv: NODE_FLAGS,
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    engine.child = child;
    child.on("message", ({ epoch }: { epoch: number }) => (engine.epoch = epoch));
    noteComplaints(child, complaints);
    const said = lastWords(child);
    child.once("exit", (code, signal) => {
      if (engine.child !== child) return;
      engine.child = null;
      crashes.push(`engine ${engine.index} ended by itself (${code ?? signal}): ${said()}`);
    });
  };
  const end: EngineFleet["end"] = async (engine, signal) => {
    const { child } = engine;
    if (child === null) return;
    engine.child = null; // so that its exit is expected
    engine.paused = false;
    const exited = child.exitCode === null && child.signalCode === null ? once(child, "exit") : Promise.resolve();
    child.kill("SIGCONT");
    child.kill(signal);
    const patience = setTimeout(() => child.kill("SIGKILL"), 30_000);
    await exited;
    clearTimeout(patience);
  };
  return {
    engines,
    newestEpoch,
    leader: () => engines.find((one) => one.child !== null && one.epoch > 0 && one.epoch === newestEpoch()) ?? null,
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
      const complaint = `${msg}: ${err?.message ?? ""}`.replaceAll(/[0-9a-f-]{36}/g, "<id>").slice(0, 160);
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
