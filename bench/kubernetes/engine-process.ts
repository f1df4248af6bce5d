/**
 * The engine as a team runs it: with the flags and the cache of compiled code of its image, in a process of its own. What
 * it has launched is read from its log, at the level that it has by default.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** As in deploy/base/engine.yaml. */
export const NODE_FLAGS = ["--max-semi-space-size=2", "--optimize-for-size"];
const PROGRAM = join(import.meta.dirname, "..", "..", "engine", "main.ts");
const COMPILE_CACHE = join(tmpdir(), "myzel-bench-compiled");
const LEADS_WITHIN_MS = 30_000;

export interface EngineProcess {
  readonly pid: number;
  /** How many Jobs it has created so far. */
  readonly launched: number;
  /** Messages of warnings and errors, each once. */
  readonly complaints: ReadonlySet<string>;
  /** Resolves when it has created so many in all. @throws Error where that takes too long, or the engine ends */
  untilLaunched(count: number, timeoutMs: number): Promise<void>;
  /** SIGTERM; its Jobs go on. */
  stop(): Promise<void>;
}

/** Resolves when it leads. @param settings environment variables, as in engine/config.ts */
export async function startEngineProcess(settings: Record<string, string>): Promise<EngineProcess> {
  const { PATH = "", HOME = "", NODE_OPTIONS = "" } = process.env;
  const env = { PATH, HOME, NODE_OPTIONS, NODE_COMPILE_CACHE: COMPILE_CACHE, ...settings };
  const child = spawn(process.execPath, [...NODE_FLAGS, PROGRAM, "engine"], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const endWithUs = (): void => void child.kill("SIGKILL");
  process.once("exit", endWithUs);
  const complaints = new Set<string>();
  const waiting = new Set<() => void>();
  let launched = 0;
  let leads = false;
  let ended = false;
  const told = (): void => waiting.forEach((look) => look());
  createInterface({ input: child.stdout }).on("line", (line) => {
    const { level, msg } = JSON.parse(line) as { level: number; msg: string };
    if (level > 30) complaints.add(msg);
    if (msg === "launched") launched += 1;
    if (msg === "leading") leads = true;
    told();
  });
  child.once("exit", () => {
    ended = true;
    told();
  });
  const until = (what: string, isSo: () => boolean, timeoutMs: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const finish = (error?: Error): void => {
        clearTimeout(late);
        waiting.delete(look);
        if (error === undefined) resolve();
        else reject(error);
      };
      const look = (): void => {
        if (isSo()) finish();
        else if (ended) finish(new Error(`the engine ended before ${what}`));
      };
      const late = setTimeout(() => finish(new Error(`waited ${timeoutMs} ms in vain until ${what}`)), timeoutMs);
      waiting.add(look);
      look();
    });

  await until("it led", () => leads, LEADS_WITHIN_MS);
  return {
    pid: child.pid ?? 0,
    get launched() {
      return launched;
    },
    complaints,
    untilLaunched: (count, timeoutMs) =>
      until(`${count} Jobs were created (${launched} were)`, () => launched >= count, timeoutMs),
    stop: async () => {
      process.off("exit", endWithUs);
      if (ended) return;
      child.kill("SIGTERM");
      await once(child, "exit");
    },
  };
}
