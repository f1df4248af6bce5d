/**
 * How often the kernel killed a process of this container for want of memory.
 *
 * Where it ends single processes, and not the container as a whole, it usually kills the CLI and leaves the phase alive,
 * which then is the only one who can tell.
 */
import { readFileSync } from "node:fs";

/** The count so far; 0 outside of a container, where the number would be that of others. */
export function countMemoryKills(): number {
  try {
    if (readFileSync("/proc/self/cgroup", "utf8").trim() !== "0::/") return 0;
    const events = readFileSync("/sys/fs/cgroup/memory.events", "utf8");
    return Number(/^oom_kill (\d+)$/m.exec(events)?.[1] ?? 0);
  } catch {
    return 0;
  }
}
