/** What an engine in a process of its own does until its parent ends it; tells its parent when it leads. */
import type { Logger } from "pino";
import { runEngine } from "../../engine/engine.ts";
import type { Launcher } from "../../engine/launch/launcher.ts";

/** Ends with SIGTERM, or when the parent is gone. */
export async function runFaultyEngine(databaseUrl: string, launcher: Launcher, log: Logger): Promise<void> {
  const stop = new AbortController();
  process.once("disconnect", () => stop.abort());
  process.once("SIGTERM", () => stop.abort());
  try {
    await runEngine({
      databaseUrl,
      launcher,
      log,
      pollIntervalMs: 1_000,
      maxLiveRuns: 40,
      keepTranscriptsMs: 86_400_000,
      runKey: Buffer.alloc(32, 5),
      signal: stop.signal,
      onLead: (epoch) => process.send?.({ epoch }),
    });
  } finally {
    await launcher.close();
    if (process.connected) process.disconnect();
  }
}
