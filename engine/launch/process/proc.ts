/** What Linux tells of the machine's processes under /proc. A process that ends while it is read is left out. */
import { readFileSync, readdirSync, readlinkSync } from "node:fs";

export interface ProcessInfo {
  pid: number;
  parent: number;
  session: number;
  hasTerminal: boolean;
  /** Clock ticks since boot. */
  startTicks: number;
}

/** Every process but the dead that nobody has reaped yet (they run nothing and need no end). */
export function listProcesses(): ProcessInfo[] {
  const found: ProcessInfo[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const info = processInfo(Number(name));
    if (info !== null) found.push(info);
  }
  return found;
}

/** One process; null where it is gone or dead. */
export function processInfo(pid: number | "self"): ProcessInfo | null {
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The command's name, in parentheses, may itself hold anything: what counts comes after the last one.
  const [state, parent, , session, terminal, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (state === "Z" || state === "X") return null;
  return {
    pid: Number.parseInt(stat, 10),
    parent: Number(parent),
    session: Number(session),
    hasTerminal: terminal !== "0",
    startTicks: Number(rest[14]),
  };
}

/** Real, effective, saved and file system user of a process. */
export function processUsers(pid: number): number[] {
  const line = /^Uid:\s*(.*)$/m.exec(readText(`/proc/${pid}/status`) ?? "")?.[1];
  return line === undefined ? [] : line.split(/\s+/).map(Number);
}

/** The environment a process was started with, `NAME=value` each; empty where it may not be read. */
export function processEnvironment(pid: number): string[] {
  return (readText(`/proc/${pid}/environ`) ?? "").split("\0");
}

/** Every path a process holds: its program, working directory and open files. */
export function processPaths(pid: number): string[] {
  const links = [`/proc/${pid}/cwd`, `/proc/${pid}/exe`, `/proc/${pid}/root`];
  try {
    for (const name of readdirSync(`/proc/${pid}/fd`)) links.push(`/proc/${pid}/fd/${name}`);
  } catch {
    // Not ours, or gone.
  }
  return links.flatMap((link) => {
    try {
      return [readlinkSync(link)];
    } catch {
      return [];
    }
  });
}

/** How many processes the kernel has killed for want of memory since boot. */
export function outOfMemoryKills(): number {
  return Number(/^oom_kill (\d+)$/m.exec(readText("/proc/vmstat") ?? "")?.[1] ?? 0);
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return null;
  }
}
