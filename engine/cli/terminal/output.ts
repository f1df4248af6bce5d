/** Where a command's answer goes: standard output. What it says meanwhile goes to standard error. */
import { plain } from "./terminal-text.ts";

/** A line (or lines) for people. */
export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** One object, one line, for programs. */
export function sayJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Something worth knowing that is not the answer. */
export function note(text: string): void {
  process.stderr.write(`${plain(text)}\n`);
}
