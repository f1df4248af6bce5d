/**
 * Text for people. Task texts come from anybody, so nothing of them reaches a terminal that could move
 * its cursor, change its title or turn its writing direction.
 */
import { stripVTControlCharacters } from "node:util";

/** Control characters but for line break and tab, and the marks that change the direction of writing. */
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** The text without escape sequences and control characters; line breaks and tabs stay. */
export function plain(text: string): string {
  return stripVTControlCharacters(text.replaceAll("\r\n", "\n")).replace(CONTROLS, "");
}

/** The text in one line of at most `max` characters. */
export function oneLine(text: string, max = Number.POSITIVE_INFINITY): string {
  // Cut first: a prompt may have a megabyte.
  const line = plain(text.slice(0, Math.min(text.length, max * 4)))
    .replace(/\s+/g, " ")
    .trim();
  const characters = [...line];
  return characters.length <= max ? line : `${characters.slice(0, Math.max(0, max - 1)).join("")}…`;
}

/** The first line that says something. */
export function firstLine(text: string, max: number): string {
  return oneLine(text.trimStart().split("\n", 1)[0] ?? "", max);
}

/** Each line behind `indent`. */
export function indented(text: string, indent = "  "): string {
  return plain(text)
    .split("\n")
    .map((line) => `${indent}${line}`.trimEnd())
    .join("\n");
}

/** Its first `most` lines, each behind two spaces, and how many more there are; `where` says where those can be read. */
export function beginning(text: string, most: number, where = ""): string {
  const lines = text.trim().split("\n");
  const more = lines.length > most ? [`… (${lines.length - most} more lines${where})`] : [];
  return indented([...lines.slice(0, most), ...more].join("\n"));
}

/** Columns under headings, two spaces apart; the last one is not padded. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(...all.map((row) => length(row[column] ?? ""))));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell + " ".repeat(Math.max(0, (widths[column] ?? 0) - length(cell))))
      .join("  ")
      .trimEnd();
  return all.map(line).join("\n");
}

/** Name and value, one pair a line, values below one another; pairs without a value are left out. */
export function facts(pairs: readonly (readonly [string, string | null | undefined])[]): string {
  const known = pairs.filter((pair): pair is readonly [string, string] => Boolean(pair[1]));
  const width = Math.max(0, ...known.map(([name]) => length(name)));
  return known.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join("\n");
}

/** `12 s`, `5 min`, `3 h`, `9 d`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 2 * 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** `999 bytes`, `1.2 MB`, `34 GB`: powers of ten, as in the settings. */
export function byteSize(bytes: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const value = bytes / 1000 ** power;
  return `${value.toFixed(power > 0 && value < 10 ? 1 : 0)} ${units[power]}`;
}

/** `$0.0042`, `$3.40`, `$1,250.00`. */
export function money(usd: number): string {
  const digits = usd !== 0 && usd < 0.1 ? 4 : 2;
  return `$${usd.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

/** Local time, `2026-10-25 14:03:12 +01:00`, or with `UTC` as the database's sentences have it. */
export function localTime(time: Date): string {
  const minutes = -time.getTimezoneOffset();
  const two = (value: number) => String(Math.trunc(value)).padStart(2, "0");
  const ahead = Math.abs(minutes);
  const zone = minutes === 0 ? "UTC" : `${minutes < 0 ? "-" : "+"}${two(ahead / 60)}:${two(ahead % 60)}`;
  return `${time.toLocaleString("sv-SE")} ${zone}`;
}

/** Enough of an id to tell tasks apart: its end, for ids of the same minute begin alike (they begin with the time). */
export function shortId(id: string): string {
  return id.slice(-8);
}

function length(text: string): number {
  return [...text].length;
}
