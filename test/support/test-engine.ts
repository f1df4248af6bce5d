/** An engine in this process, on a test's database. */
import { pino } from "pino";
import type { Logger } from "pino";
import { runEngine } from "../../engine/engine.ts";
import type { EngineOptions } from "../../engine/engine.ts";
import type { Launcher } from "../../engine/launch/launcher.ts";
import type { TestDatabase } from "./postgres.ts";

export interface TestEngine {
  /** Settles when it has ended, by `stop` or of itself. */
  ended: Promise<void>;
  stop(): Promise<void>;
}

/** Says what MYZEL_TEST_LOG asks for; looks by itself once a minute, so that what happens soon happens by waking. */
export function startTestEngine(
  test: TestDatabase,
  launcher: Launcher,
  changes: Partial<EngineOptions> = {},
): TestEngine {
  const controller = new AbortController();
  const ended = runEngine({
    databaseUrl: test.url("engine"),
    launcher,
    log: pino({ level: process.env["MYZEL_TEST_LOG"] ?? "silent" }),
    pollIntervalMs: 60_000,
    maxLiveRuns: 10,
    keepTranscriptsMs: 86_400_000,
    runKey: Buffer.alloc(32, 1),
    signal: controller.signal,
    ...changes,
  });
  const stop = async (): Promise<void> => {
    controller.abort();
    await ended;
  };
  return { ended, stop };
}

/** A log that keeps the warnings and errors (levels above 40) that it is told. */
export function keptWarnings(): { log: Logger; said: (words: string) => number; errors: () => unknown[] } {
  const lines: { level: number; msg: string }[] = [];
  return {
    log: pino({ level: "warn" }, { write: (line: string) => void lines.push(JSON.parse(line)) }),
    said: (words) => lines.filter(({ msg }) => msg.startsWith(words)).length,
    errors: () => lines.filter(({ level }) => level > 40),
  };
}
