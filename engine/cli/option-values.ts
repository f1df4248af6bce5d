/** Values of options: what is no such value is refused with a sentence that says how to write it. */
import { InvalidArgumentError } from "commander";

/** 1, 2, 3 … */
export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError("Give a whole number of at least 1.");
  return value;
}

/** 0, 1, 2 … */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError("Give a whole number, or 0.");
  return value;
}

/** US dollars above zero, as `5`, `2.50` or `$2.50`. */
export function dollars(text: string): number {
  const value = Number(text.replace(/^\$/, ""));
  if (!Number.isFinite(value) || value <= 0 || value >= 1e6)
    throw new InvalidArgumentError("Give US dollars above zero, like 2.50.");
  return value;
}

const UNITS: Readonly<Record<string, string>> = { m: "minutes", h: "hours", d: "days" };

/** `30m`, `12h`, `7d` → an interval in Postgres's words. */
export function wallTime(text: string): string {
  const match = /^(\d{1,6})\s*([mhd])$/.exec(text.trim());
  const unit = UNITS[match?.[2] ?? ""];
  if (unit === undefined || Number(match?.[1]) === 0)
    throw new InvalidArgumentError("Write it like 30m, 12h or 7d, at least 1m.");
  return `${match?.[1]} ${unit}`;
}
