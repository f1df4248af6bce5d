/**
 * The masked log of a run: its beginning up to a limit, and its end.
 *
 * Once the limit is reached a marker says so, and only the last part is kept in memory; `close` writes
 * it behind the marker. A full disk loses log, never the run. Nothing unmasked is ever written.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import type { Readable } from "node:stream";
import { createMasker, type Masker } from "../../../worker-image/masking.ts";

/** 32 MiB: as much as a busy agent prints in a day; what it prints beyond is of no use in a log. */
const MAX_BYTES = 32 * 2 ** 20;

/** Kept of the end. 8 KiB of it go into a failed result, the rest is for the reader of the log. */
const TAIL_BYTES = 64 * 2 ** 10;

const FULL = "\n[myzel] The log is full. What was said last follows when the run has ended.\n";

export interface RunLog {
  readonly masker: Masker;
  /** Copies a stream of the run to its end, masked. The promise never rejects. */
  copy(stream: Readable): Promise<void>;
  /** A line of the launcher's own, masked too. */
  note(text: string): void;
  /** The end of what was logged, at most `maxBytes`. */
  tail(maxBytes: number): string;
  close(): void;
}

/** Opens the log at `path` for appending. A log that cannot be opened is kept in memory as far as its end goes. */
export function openRunLog(path: string, secrets: readonly string[], maxBytes: number = MAX_BYTES): RunLog {
  const masker = createMasker(secrets);
  const file = openOrNull(path);
  let written = 0;
  let tail: Buffer = Buffer.alloc(0);

  const append = (text: string): void => {
    const bytes = Buffer.from(text, "utf8");
    const room = maxBytes - written;
    if (bytes.length > 0 && room > 0) {
      writeOrDrop(file, bytes.subarray(0, room));
      if (bytes.length >= room) writeOrDrop(file, Buffer.from(FULL));
    }
    written += bytes.length;
    tail = Buffer.concat([tail, bytes.subarray(-TAIL_BYTES)]).subarray(-TAIL_BYTES);
  };

  return {
    masker,
    copy: (stream) => copyMasked(stream, masker, append),
    note: (text) => append(`[myzel] ${masker.text(text)}\n`),
    tail: (bytes) => tail.subarray(-bytes).toString("utf8"),
    close: () => {
      if (written > maxBytes) writeOrDrop(file, tail.subarray(-Math.min(TAIL_BYTES, written - maxBytes)));
      if (file !== null) closeSync(file);
    },
  };
}

function copyMasked(stream: Readable, masker: Masker, append: (text: string) => void): Promise<void> {
  return new Promise((resolve) => {
    const masked = masker.stream();
    masked.on("data", (text: Buffer | string) => append(text.toString()));
    masked.on("end", resolve);
    // A stream that breaks off has still said what it said.
    stream.on("error", () => masked.end());
    stream.on("close", () => masked.end());
    stream.pipe(masked);
  });
}

function openOrNull(path: string): number | null {
  try {
    return openSync(path, "a", 0o600);
  } catch {
    return null;
  }
}

function writeOrDrop(file: number | null, bytes: Buffer): void {
  if (file === null) return;
  try {
    writeSync(file, bytes);
  } catch {
    // A full disk: the log is the first thing to go without.
  }
}
