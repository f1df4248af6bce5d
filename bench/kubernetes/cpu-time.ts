/** Where the processor's time went: of single processes, of a process with its children, of the whole machine. */
import { readdir, readFile } from "node:fs/promises";
import { cpuTicks } from "../queue/engine.ts";

/** Hundredths of a second, by who used them. */
export type CpuTimes = Record<string, number>;

/** Processes by name; of those in `withChildren` the children too. What all others used is `others`. */
export async function cpuTimes(pids: Record<string, number>, withChildren: readonly string[]): Promise<CpuTimes> {
  const times: CpuTimes = {};
  for (const [name, pid] of Object.entries(pids)) {
    const all = withChildren.includes(name) ? [pid, ...(await childrenOf(pid))] : [pid];
    const ticks = await Promise.all(all.map((one) => cpuTicks(one).catch(() => 0)));
    times[name] = ticks.reduce((sum, one) => sum + one, 0);
  }
  const known = Object.values(times).reduce((sum, one) => sum + one, 0);
  return { ...times, others: (await busyTicks()) - known };
}

/** Milliseconds of processor time between two looks. */
export function spentMs(before: CpuTimes, after: CpuTimes): CpuTimes {
  return Object.fromEntries(Object.entries(after).map(([name, ticks]) => [name, (ticks - (before[name] ?? 0)) * 10]));
}

async function childrenOf(parent: number): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const parents = await Promise.all(
    pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    }),
  );
  return pids.filter((_, i) => parents[i] === parent);
}

/** user, nice, system, irq and softirq of all processors. */
async function busyTicks(): Promise<number> {
  const [first = ""] = (await readFile("/proc/stat", "utf8")).split("\n");
  const fields = first.trim().split(/\s+/).slice(1).map(Number);
  return [0, 1, 2, 5, 6].reduce((sum, index) => sum + (fields[index] ?? 0), 0);
}
