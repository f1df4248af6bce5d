/**
 * Ends every process of a run, whatever it did to get away: sessions of its own, double forks, an
 * empty environment.
 *
 * With a user of its own a run has no way out: all processes of that user are killed in one step that
 * the kernel does not interleave with forks. Without one (the engine is an ordinary user) they are
 * found by descent, session, a mark in the environment, and what they hold of the run's directory. A
 * process that sheds all of these at once is not found; the process launcher promises no more.
 *
 * Must never touch the engine, its parents, or a person's shell that happens to stand in the directory.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { RUN_FILES } from "./run-directory.ts";
import { listProcesses, processEnvironment, processPaths, processUsers, type ProcessInfo } from "./proc.ts";

/** The variable that marks the processes of a run; its value is the run's id. */
export const RUN_MARK = "MYZEL_RUN_MARK";

/** How to recognise the processes of a run. */
export interface RunProcesses {
  runId: string;
  directory: string;
  /** The run's own user; null where it has the engine's. */
  uid: number | null;
  /** Sessions of the phases that have run. */
  sessions: readonly number[];
  /** Nothing that started earlier (ticks since boot) is found by the files it holds. */
  sinceTicks: number;
}

/**
 * Kills until none is left.
 * @returns false where some still live after `timeoutMs` (a process in an uninterruptible wait)
 */
export async function endProcesses(run: RunProcesses, timeoutMs: number = Number.POSITIVE_INFINITY): Promise<boolean> {
  const giveUpAt = performance.now() + timeoutMs;
  for (let pauseMs = 5; ; pauseMs = Math.min(pauseMs * 2, 500)) {
    const found = findProcesses(run);
    if (found.length === 0) return true;
    if (run.uid === null) for (const pid of freeze(run)) signal(pid, "SIGKILL");
    else await killUser(run.uid);
    for (const pid of found) signal(pid, "SIGKILL");
    if (performance.now() > giveUpAt) return false;
    await delay(pauseMs);
  }
}

/** The run's living processes. */
export function findProcesses(run: RunProcesses): number[] {
  const all = listProcesses();
  if (run.uid !== null) {
    const uid = run.uid;
    return all.filter(({ pid }) => processUsers(pid).includes(uid)).map(({ pid }) => pid);
  }
  const mine = ancestry(process.pid, all);
  return markedProcesses(
    run,
    all.filter(({ pid }) => !mine.has(pid)),
  );
}

/** Whether any process of this user is alive. */
export function userIsAlive(uid: number): boolean {
  return listProcesses().some(({ pid }) => processUsers(pid).includes(uid));
}

function markedProcesses(run: RunProcesses, candidates: readonly ProcessInfo[]): number[] {
  const marks = [`${RUN_MARK}=${run.runId}`, `HOME=${run.directory}/`, `TMPDIR=${run.directory}/`];
  const places = [RUN_FILES.work, RUN_FILES.private, RUN_FILES.publishHome].map((name) => join(run.directory, name));
  const found = new Set<number>();
  const belongs = (info: ProcessInfo): boolean =>
    found.has(info.parent) ||
    run.sessions.includes(info.session) ||
    processEnvironment(info.pid).some((entry) => marks.some((mark) => entry.startsWith(mark))) ||
    (!info.hasTerminal &&
      info.startTicks >= run.sinceTicks &&
      processPaths(info.pid).some((path) => places.some((place) => path === place || path.startsWith(`${place}/`))));

  // Descendants of what was found belong to it: look until nothing new turns up.
  let remaining = candidates.filter(({ pid }) => !found.has(pid));
  for (;;) {
    const more = remaining.filter(belongs);
    if (more.length === 0) break;
    for (const { pid } of more) found.add(pid);
    remaining = remaining.filter(({ pid }) => !found.has(pid));
  }
  return candidates.filter(({ pid }) => found.has(pid)).map(({ pid }) => pid);
}

/** Stops all before any is killed, so that none forks a successor while the others die. Returns the stopped. */
function freeze(run: RunProcesses): Set<number> {
  const frozen = new Set<number>();
  for (let round = 0; round < 10; round++) {
    const fresh = findProcesses(run).filter((pid) => !frozen.has(pid));
    if (fresh.length === 0) break;
    for (const pid of fresh) {
      signal(pid, "SIGSTOP");
      frozen.add(pid);
    }
  }
  return frozen;
}

/** One `kill(-1)` as that user: it hits every process of the user at once, also one that is forking. */
async function killUser(uid: number): Promise<void> {
  const killer = spawn("/bin/sh", ["-c", "kill -KILL -1"], { uid, gid: uid, env: {}, cwd: "/", stdio: "ignore" });
  // Not even started (the user may have used up its processes): the caller kills one by one.
  await once(killer, "exit").catch(() => undefined);
}

function ancestry(pid: number, all: readonly ProcessInfo[]): Set<number> {
  const parents = new Map(all.map((info) => [info.pid, info.parent]));
  const line = new Set<number>();
  for (let at: number | undefined = pid; at !== undefined && at > 0 && !line.has(at); at = parents.get(at))
    line.add(at);
  return line;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone meanwhile.
  }
}
