/**
 * The engine's log: JSON lines for machines, one readable line a record on a terminal. Everything goes
 * through the scrubber, whatever a field is called. No transport thread: what is logged is written.
 */
import { writeSync } from "node:fs";
import { pino } from "pino";
import type { Logger } from "pino";
import { scrubbed } from "./scrubbing.ts";

export interface LoggingOptions {
  level: "trace" | "debug" | "info" | "warn" | "error" | "silent";
  /** Readable lines instead of JSON. */
  readable: boolean;
  /** 1: standard output (default), 2: standard error. */
  descriptor?: 1 | 2;
}

/** The root logger. */
export function createLogger(options: LoggingOptions): Logger {
  const descriptor = options.descriptor ?? 1;
  const line = options.readable ? (text: string) => readableLine(text, options.level) : (text: string) => text;
  return pino(
    { level: options.level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    { write: (text: string) => writeOrDrop(descriptor, scrubbed(line(text))) },
  );
}

/** A log that cannot be written (a full disk, a reader that left) must not end the engine. */
function writeOrDrop(descriptor: number, text: string): void {
  try {
    writeSync(descriptor, text);
  } catch {
    // nowhere left to say it
  }
}

const NAMES: Record<number, string> = { 10: "trace", 20: "debug", 30: "info", 40: "warn", 50: "error", 60: "fatal" };

/** One JSON record as a line for people: time, level where it is not info, message, facts. */
function readableLine(text: string, level: LoggingOptions["level"]): string {
  const {
    time,
    level: number,
    msg,
    err,
    ...facts
  } = JSON.parse(text) as {
    time: string;
    level: number;
    msg?: string;
    err?: { message?: string; stack?: string };
  };
  const clock = new Date(time).toTimeString().slice(0, 8);
  const name = NAMES[number] ?? String(number);
  const told = Object.entries(facts)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([key, value]) => `${key}=${typeof value === "string" ? quoted(value) : JSON.stringify(value)}`);
  const withStack = level === "debug" || level === "trace";
  const error = err === undefined ? "" : `: ${(withStack ? err.stack : undefined) ?? err.message ?? ""}`;
  const said = `${name === "info" ? "" : `${name}: `}${msg ?? ""}${error}`;
  // Facts may hold text of tasks; only our own line breaks reach the terminal.
  return `${clock} ${[said, ...told].join("  ").replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, "")}\n`;
}

function quoted(value: string): string {
  return /^[\w./:@+-]+$/.test(value) ? value : JSON.stringify(value);
}
