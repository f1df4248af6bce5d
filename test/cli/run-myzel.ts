/** Runs the real command line as a child process, with nothing of this process's own settings. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const ROOT = join(import.meta.dirname, "..", "..");
const DEADLINE_MS = 300_000;

export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Running {
  child: ChildProcess;
  /** What it has printed so far. */
  output: { stdout: string; stderr: string };
  ended: Promise<Ran>;
}

export interface RunOptions {
  env?: Record<string, string>;
  /** Standard input; default: nothing. */
  input?: string | Buffer;
  /** Standard input stays open: the caller writes to it. */
  keepInput?: boolean;
  cwd?: string;
  deadlineMs?: number;
}

/** Starts it; the caller awaits `ended`. A process that outlives the deadline is killed. */
export function startMyzel(args: readonly string[], options: RunOptions = {}): Running {
  return startProgram(join(ROOT, "bin", "myzel"), args, options);
}

/** The same for another program, such as one that gives it a terminal. */
export function startProgram(program: string, args: readonly string[], options: RunOptions = {}): Running {
  const child = spawn(program, args, {
    cwd: options.cwd ?? tmpdir(),
    env: {
      PATH: process.env["PATH"],
      HOME: tmpdir(),
      TZ: "UTC",
      NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"] ?? join(tmpdir(), "node-compile-cache"),
      ...options.env,
    },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
  child.stdin?.on("error", () => undefined); // it may stop reading
  if (options.keepInput !== true) child.stdin?.end(options.input ?? "");
  const timer = setTimeout(() => child.kill("SIGKILL"), options.deadlineMs ?? DEADLINE_MS);
  const ended = new Promise<Ran>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve({ code, ...output });
    });
  });
  return { child, output, ended };
}

/** Runs it to its end. */
export function myzel(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return startMyzel(args, options).ended;
}

/** A directory that goes when `remove` is called. */
export async function temporaryDirectory(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "myzel-cli-"));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}
