/**
 * Writes the agent's stream into the workspace: masked, as JSON lines, bounded.
 *
 * The first half of the room is written as it comes, so that it is there whatever becomes of the
 * phase; the end is kept in memory and written on `close`, after a line that says how much is missing
 * in between. A disk that is full costs the transcript, never the run.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import type { Line } from "./lines.ts";

const MAX_BYTES = 16 * 2 ** 20;
const MAX_LINE_BYTES = 256 * 2 ** 10;

export interface Transcript {
  /** One line, masked by the caller, who also knows whether it is a JSON object. */
  add(line: Line, isJson: boolean): void;
  close(): void;
}

/** Opens (and empties) the transcript. A line over 256 KiB, or one that is no JSON, becomes a JSON line of ours that holds its beginning. */
export function openTranscript(
  path: string,
  limits: { maxBytes: number; maxLineBytes: number } = { maxBytes: MAX_BYTES, maxLineBytes: MAX_LINE_BYTES },
): Transcript {
  const write = openWriter(path);
  const half = Math.floor(limits.maxBytes / 2);
  let room = half;
  const end = createEnd(half);
  let inHead = true;
  return {
    add(line, isJson) {
      const entry = Buffer.from(`${asJsonLine(line, isJson, limits.maxLineBytes)}\n`);
      inHead = inHead && entry.length <= room;
      if (!inHead) return end.add(entry);
      room -= entry.length;
      write(entry);
    },
    close() {
      const { entries, omitted } = end.take();
      if (omitted.lines > 0)
        write(Buffer.from(`${JSON.stringify({ type: "myzel", subtype: "omitted", ...omitted })}\n`));
      for (const entry of entries) write(entry);
      write(null);
    },
  };
}

/** Keeps the last entries that fit into so many bytes. A hundred megabytes of short lines pass in about a second. */
function createEnd(maxBytes: number) {
  let entries: Buffer[] = [];
  let first = 0;
  let bytes = 0;
  const omitted = { lines: 0, bytes: 0 };
  return {
    add(entry: Buffer): void {
      entries.push(entry);
      bytes += entry.length;
      for (; bytes > maxBytes; first++) {
        const gone = entries[first]?.length ?? 0;
        bytes -= gone;
        omitted.lines++;
        omitted.bytes += gone;
      }
      // Moving the rest only now and then keeps adding cheap.
      if (first <= entries.length / 2) return;
      entries = entries.slice(first);
      first = 0;
    },
    take: () => ({ entries: entries.slice(first), omitted }),
  };
}

/** Writes until the first failure, then no more; null closes. */
function openWriter(path: string): (bytes: Buffer | null) => void {
  let file: number | null = null;
  try {
    file = openSync(path, "w", 0o644);
  } catch {
    return () => {};
  }
  return (bytes) => {
    if (file === null) return;
    try {
      if (bytes !== null) for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
    } catch {
      bytes = null;
    }
    if (bytes !== null) return;
    closeSync(file);
    file = null;
  };
}

function asJsonLine(line: Line, isJson: boolean, maxBytes: number): string {
  const fits = !line.cut && Buffer.byteLength(line.text) <= maxBytes;
  if (fits && isJson) return line.text;
  const subtype = fits ? "text" : "cut";
  for (let length = Math.min(line.text.length, maxBytes); ; length = Math.floor(length / 2)) {
    const json = JSON.stringify({ type: "myzel", subtype, bytes: line.bytes, text: line.text.slice(0, length) });
    if (Buffer.byteLength(json) <= maxBytes || length === 0) return json;
  }
}
