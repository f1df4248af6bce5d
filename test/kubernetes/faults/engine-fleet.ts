/** Real engine processes on one database and one cluster, each behind a proxy of its own before the API server. */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { startApiProxy, type ApiProxy } from "../launcher-proxy.ts";

export interface FaultyEngine {
  readonly index: number;
  readonly proxy: ApiProxy;
  /** Null while it is down. */
  child: ChildProcess | null;
  /** The epoch in which it said that it leads; 0: not in this life. */
  epoch: number;
}

export interface EngineFleet {
  readonly engines: readonly FaultyEngine[];
  /** The highest epoch that an engine said. */
  newestEpoch(): number;
  /** The engine that last said that it leads, if its process is up. */
  leader(): FaultyEngine | null;
  /** Starts it where it is down. */
  start(engine: FaultyEngine): void;
  /** Ends it, and waits for its end. */
  end(engine: FaultyEngine, signal: "SIGKILL" | "SIGTERM"): Promise<void>;
  /** Engines that ended by themselves: none may. */
  readonly crashes: readonly string[];
  /** Messages of level error, with how often each came. */
  readonly complaints: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

export interface FleetOptions {
  count: number;
  kubeconfig: string;
  /** Where the proxies' kubeconfigs are written. */
  directory: string;
  namespace: string;
  engineUrl: string;
  podUrl: string;
}

const LONGEST_END_MS = 20_000;

/** None is started yet. */
export async function engineFleet(options: FleetOptions): Promise<EngineFleet> {
  const engines: FaultyEngine[] = [];
  for (let index = 0; index < options.count; index++) {
    const proxy = await startApiProxy(options.kubeconfig, options.directory);
    engines.push({ index, proxy, child: null, epoch: 0 });
  }
  const crashes: string[] = [];
  const complaints = new Map<string, number>();
  let newestEpoch = 0;

  const start = (engine: FaultyEngine): void => {
    if (engine.child !== null) return;
    const child = forkEngine(engine, options);
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
  const end: EngineFleet["end"] = async (engine, signal) => {
    const { child } = engine;
    if (child === null) return;
    engine.child = null; // so that its exit is expected
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

function forkEngine({ proxy }: FaultyEngine, options: FleetOptions): ChildProcess {
  return fork(join(import.meta.dirname, "engine-process.ts"), {
    env: {
      PATH: process.env["PATH"],
      FAULT_ENGINE_URL: options.engineUrl,
      FAULT_POD_URL: options.podUrl,
      FAULT_KUBECONFIG: proxy.kubeconfig,
      FAULT_NAMESPACE: options.namespace,
    },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
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
