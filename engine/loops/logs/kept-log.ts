/**
 * What is kept of one run's log: the end of it, in JSON lines, in bounded memory. No I/O, no clock.
 *
 * Lines are gathered into members of 32 KiB, each compressed once; a log that grows over its bounds loses its oldest
 * members, and a first line says how many lines are missing. The last line says up to which place it was read, so that
 * another engine goes on there.
 */
import { gunzipSync, gzipSync } from "node:zlib";
import { scrubbed } from "../../scrubbing.ts";

/** Most that is kept: as JSON lines, and compressed, for it lies in memory so. */
const MAX_BYTES = 2 ** 19;
const MAX_COMPRESSED_BYTES = 2 ** 17;

const MEMBER_BYTES = 2 ** 15;

/** What is longer was not written by our phases. */
const MAX_LINE_CHARS = 16 * 2 ** 10;

interface Member {
  bytes: Buffer;
  rawBytes: number;
  lines: number;
}

export interface KeptLog {
  /** Behind what was added last; null: nothing was added. */
  place(): string | null;
  /** Rises with everything that is added. */
  version(): number;
  /** Adds lines of the log; `place` null: a remark, which is added once however often it is made. */
  add(text: string, place: string | null): void;
  /** All of it, as it is stored. */
  content(): { content: Buffer; rawBytes: number; truncated: boolean };
  /** The end of the text, at most so many bytes; null where there is none. */
  tail(maxBytes: number): string | null;
}

/** @param stored the lines of an earlier `content`, to go on with */
export function createKeptLog(stored: readonly string[] = []): KeptLog {
  const members = createMembers();
  let place: string | null = null;
  let remark = "";
  let version = 0;
  for (const line of stored) {
    const own = ownLine(line);
    if (own?.subtype === "place") place = own.place ?? null;
    else if (own?.subtype === "omitted") members.omit(own.lines ?? 0, own.bytes ?? 0);
    else members.add(line);
  }
  return {
    place: () => place,
    version: () => version,
    add: (text, at) => {
      if (at === null && text === remark) return;
      remark = at === null ? text : "";
      for (const line of text.split("\n")) if (line !== "") members.add(entryOf(line));
      place = at ?? place;
      version++;
    },
    content: () => members.content(place === null ? "" : json({ type: "myzel", subtype: "place", place })),
    tail: (maxBytes) => endOf(members.lastLines(), maxBytes),
  };
}

/** Complete members, oldest first, and the lines of the next one. */
function createMembers() {
  let members: Member[] = [];
  const open = createOpenMember();
  const omitted = { lines: 0, bytes: 0 };

  const seal = (): void => {
    const { bytes, lines } = open.take();
    members.push({ bytes: exactly(gzipSync(bytes)), rawBytes: bytes.length, lines });
    let raw = sum(members, ({ rawBytes }) => rawBytes);
    let compressed = sum(members, ({ bytes }) => bytes.length);
    while (raw > MAX_BYTES - MEMBER_BYTES || compressed > MAX_COMPRESSED_BYTES) {
      const [first] = members;
      if (first === undefined) return;
      members = members.slice(1);
      raw -= first.rawBytes;
      compressed -= first.bytes.length;
      omitted.lines += first.lines;
      omitted.bytes += first.rawBytes;
    }
  };
  return {
    omit: (lines: number, bytes: number): void => {
      omitted.lines += lines;
      omitted.bytes += bytes;
    },
    add: (line: string): void => {
      open.add(`${line}\n`);
      if (open.bytes().length >= MEMBER_BYTES) seal();
    },
    content: (lastLine: string) => {
      const truncated = omitted.lines > 0;
      const first = truncated ? `${json({ type: "myzel", subtype: "omitted", ...omitted })}\n` : "";
      const last = Buffer.concat([open.bytes(), Buffer.from(lastLine === "" ? "" : `${lastLine}\n`)]);
      return {
        content: Buffer.concat([
          ...(truncated ? [gzipSync(first)] : []),
          ...members.map(({ bytes }) => bytes),
          gzipSync(last),
        ]),
        rawBytes: Buffer.byteLength(first) + sum(members, ({ rawBytes }) => rawBytes) + last.length,
        truncated,
      };
    },
    /** Of the last two members at most. */
    lastLines: (): string[] => {
      const before = members.at(-1);
      const text =
        (before === undefined ? "" : gunzipSync(before.bytes).toString("utf8")) + open.bytes().toString("utf8");
      return text.split("\n").filter((line) => line !== "");
    },
  };
}

/** Lines as bytes, for strings cut out of larger ones would keep those in memory. */
function createOpenMember() {
  let buffer = Buffer.alloc(0);
  let used = 0;
  let lines = 0;
  return {
    add: (line: string): void => {
      const needed = used + Buffer.byteLength(line);
      if (needed > buffer.length) {
        const larger = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(2 * buffer.length, MEMBER_BYTES), 1024));
        buffer.copy(larger, 0, 0, used);
        buffer = larger;
      }
      used += buffer.write(line, used);
      lines++;
    },
    bytes: (): Buffer => buffer.subarray(0, used),
    /** Empties it; what is given is valid until the next `add`. */
    take: (): { bytes: Buffer; lines: number } => {
      const taken = { bytes: buffer.subarray(0, used), lines };
      if (buffer.length > 2 * MEMBER_BYTES) buffer = Buffer.alloc(0);
      used = 0;
      lines = 0;
      return taken;
    },
  };
}

function entryOf(line: string): string {
  const text = line.length <= MAX_LINE_CHARS ? line : `${line.slice(0, MAX_LINE_CHARS)} …`;
  // The phases mask what they print; what else got into the log passes the net that our own log passes.
  return json({ type: "log", text: scrubbed(text) });
}

interface OwnLine {
  type: string;
  subtype?: string;
  place?: string | null;
  lines?: number;
  bytes?: number;
}

/** Null: a line of the log. */
function ownLine(line: string): OwnLine | null {
  const entry = JSON.parse(line) as OwnLine;
  return entry.type === "myzel" ? entry : null;
}

function endOf(lines: readonly string[], maxBytes: number): string | null {
  if (lines.length === 0) return null;
  const text = lines.map((line) => `${(JSON.parse(line) as { text: string }).text}\n`).join("");
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  const end = bytes.subarray(-maxBytes);
  const whole = end.indexOf(0x0a) + 1;
  return end.subarray(whole < end.length ? whole : 0).toString("utf8");
}

/** A copy that holds no more memory than its bytes. */
function exactly(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}

function sum<T>(all: readonly T[], of: (one: T) => number): number {
  return all.reduce((total, one) => total + of(one), 0);
}

function json(value: object): string {
  return JSON.stringify(value);
}
