/** Wakes the engine soon after a run has changed: by its supervisor's socket, and by new or removed directories. Only wakes; what it carries is never relied on. */
import { mkdirSync, watch as watchDirectory, type FSWatcher } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { runsDirectory } from "./launcher-settings.ts";
import { followSupervisor } from "./supervisor-client.ts";

export interface RunWatch {
  /** Follows a live run from now on; does nothing while nobody wants to be woken, or where it is followed already. */
  follow(jobName: string): void;
  /** Returns the way to stop. */
  add(wake: () => void): () => void;
  close(): void;
}

export function createRunWatch(dataDir: string, log: Logger): RunWatch {
  const wakes = new Set<() => void>();
  const followed = new Map<string, () => void>();
  let directory: FSWatcher | null = null;

  const wakeAll = (): void => {
    for (const wake of wakes) wake();
  };
  const close = (): void => {
    wakes.clear();
    for (const letGo of followed.values()) letGo();
    followed.clear();
    directory?.close();
    directory = null;
  };
  return {
    follow: (jobName) => {
      if (wakes.size === 0 || followed.has(jobName)) return;
      const letGo = followSupervisor(join(runsDirectory(dataDir), jobName), (event) => {
        if (event === "gone") followed.delete(jobName);
        wakeAll();
      });
      followed.set(jobName, letGo);
    },
    add: (wake) => {
      wakes.add(wake);
      directory ??= watchRuns(dataDir, wakeAll, log);
      return () => {
        wakes.delete(wake);
        if (wakes.size === 0) close();
      };
    },
    close,
  };
}

/** Null where the system has no watch left to give: the engine's own polling serves as well. */
function watchRuns(dataDir: string, changed: () => void, log: Logger): FSWatcher | null {
  try {
    mkdirSync(runsDirectory(dataDir), { recursive: true, mode: 0o711 });
    const watcher = watchDirectory(runsDirectory(dataDir), (_event, name) => {
      if (name !== null && !name.startsWith(".")) changed();
    });
    watcher.on("error", (error) => log.debug({ err: error }, "run directories cannot be watched"));
    return watcher;
  } catch (error) {
    log.debug({ err: error }, "run directories cannot be watched");
    return null;
  }
}
