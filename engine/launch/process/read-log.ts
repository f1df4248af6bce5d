/** Reads a run's log from a place on, and on as it grows. A place is a number of bytes. */
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Phase } from "../../../worker-image/contract.ts";
import type { LogPiece, LogReading } from "../launcher.ts";
import { RUN_FILES } from "./run-directory.ts";
import { probeSupervisor } from "./supervisor-client.ts";

/** Of a line that is longer, the rest counts as the next one. */
const CHUNK_BYTES = 65_536;

const LINE_BREAK = 0x0a;

/**
 * Ends at the log's end, or, with `follow`, when the run has ended; at once where there is none; early on `signal`.
 * A new line comes within `pollMs`.
 */
export async function* readLog(directory: string, reading: LogReading & { pollMs: number }): AsyncGenerator<LogPiece> {
  const { follow, signal, pollMs } = reading;
  const buffer = Buffer.alloc(CHUNK_BYTES);
  let position = placeOf(reading.after ?? "");
  let file: FileHandle | null = null;
  try {
    for (;;) {
      // Asked before the last read: what a live run says later is read in the next round.
      const { more, phase } = follow ? await ask(directory) : { more: false, phase: null };
      file ??= await openOrNull(join(directory, RUN_FILES.log));
      for (;;) {
        if (signal?.aborted) return;
        const bytesRead = file === null ? 0 : (await file.read(buffer, 0, CHUNK_BYTES, position)).bytesRead;
        const bytes = buffer.subarray(0, wholeLines(buffer.subarray(0, bytesRead), !more));
        if (bytes.length === 0) break;
        position += bytes.length;
        yield { text: bytes.toString("utf8"), phase, place: String(position) };
      }
      if (!more) return;
      await delay(pollMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
    }
  } finally {
    await file?.close();
  }
}

async function ask(directory: string): Promise<{ more: boolean; phase: Phase | null }> {
  const probe = await probeSupervisor(directory);
  return probe.life === "alive" ? { more: true, phase: probe.state?.phase ?? null } : { more: false, phase: null };
}

/** How many of these bytes are lines that have their end; all of them where nothing more will come. */
function wholeLines(bytes: Buffer, isEnd: boolean): number {
  const end = bytes.lastIndexOf(LINE_BREAK) + 1;
  if (bytes.length === CHUNK_BYTES && end === 0) return wholeCharacters(bytes);
  return isEnd && bytes.length < CHUNK_BYTES ? bytes.length : end;
}

function wholeCharacters(bytes: Buffer): number {
  for (let end = bytes.length - 1; end > bytes.length - 5; end--) if (((bytes[end] ?? 0) & 0xc0) !== 0x80) return end;
  return bytes.length;
}

/** Anything that is no place is the beginning. */
function placeOf(text: string): number {
  return /^\d{1,15}$/.test(text) ? Number(text) : 0;
}

async function openOrNull(path: string): Promise<FileHandle | null> {
  return open(path, "r").catch(() => null);
}
