/**
 * A program in a process group and session of its own, and its end.
 *
 * Ending it asks the program first (Claude Code then ends its running command itself), then kills the
 * whole group. Descendants that made a session of their own may outlive the group and hold the pipes
 * open: nobody here waits for them; whoever runs the phase ends them.
 */
import { type ChildProcess, spawn } from "node:child_process";

/** What a program gets between SIGTERM and SIGKILL; Claude Code takes 0.05–0.2 s (observed with 2.1.329). */
const TERM_GRACE_MS = 2000;

/** What the pipes get to run dry after the program's end, at most. */
const DRAIN_MS = 1000;

export interface GroupOptions {
  cwd: string;
  environment: Record<string, string>;
  /** Written to standard input, which is closed then. */
  input: string;
  onStdout: (chunk: Buffer) => void;
  onStderr: (chunk: Buffer) => void;
}

export interface GroupEnd {
  exitCode: number | null;
  signal: string | null;
  /** Why the program could not be started. */
  startError: string | null;
}

export interface Group {
  /** When the program has ended, its group is killed and its output is read. Never rejects. */
  ended: Promise<GroupEnd>;
  /** Ends it; safe to call again and after its end. */
  stop(): void;
}

/** Starts a program. A failure to start is an end, not an exception. */
export function startGroup(program: string, args: readonly string[], options: GroupOptions): Group {
  let child: ChildProcess;
  try {
    child = spawn(program, args, { cwd: options.cwd, env: options.environment, detached: true, stdio: "pipe" });
  } catch (error) {
    return { ended: Promise.resolve(notStarted(error)), stop: () => {} };
  }
  let killTimer: NodeJS.Timeout | undefined;
  child.stdout?.on("data", options.onStdout);
  child.stderr?.on("data", options.onStderr);
  // A program that ends before it has read its input is judged by its end, not by the broken pipe.
  child.stdin?.on("error", () => {});
  child.stdin?.end(options.input);
  const ended = new Promise<GroupEnd>((resolve) => {
    child.once("error", (error) => resolve(notStarted(error)));
    child.once("exit", (exitCode, signal) => {
      clearTimeout(killTimer);
      signalGroup(child, "SIGKILL");
      void drained(child).then(() => resolve({ exitCode, signal, startError: null }));
    });
  });
  return {
    ended,
    stop() {
      if (killTimer !== undefined || child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGTERM");
      killTimer = setTimeout(() => signalGroup(child, "SIGKILL"), TERM_GRACE_MS);
    },
  };
}

/** Resolves when all output is read, or after a while: a descendant may hold the pipes open for ever. */
async function drained(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, DRAIN_MS);
    child.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
  });
  child.stdout?.destroy();
  child.stderr?.destroy();
  child.stdin?.destroy();
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // Nobody of the group is left.
  }
}

function notStarted(error: unknown): GroupEnd {
  const { code, syscall, path, message } = error as NodeJS.ErrnoException;
  const startError =
    code === "ENOENT" ? `${path ?? "the program"} was not found` : `${syscall ?? ""} ${code ?? message}`;
  return { exitCode: null, signal: null, startError: startError.trim() };
}
