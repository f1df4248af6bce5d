/** Makes a report fit to be stored: masked, and without what JSON in Postgres cannot hold. Pure. */
import type { Report } from "../contract.ts";
import type { Masker } from "../masking.ts";

/** The report with every text in it masked, NUL left out and broken characters replaced. */
export function cleanReport(report: Report, masker: Masker): Report {
  return cleanValue(report, masker) as Report;
}

function cleanValue(value: unknown, masker: Masker): unknown {
  if (typeof value === "string") return masker.text(value.replaceAll("\0", "").toWellFormed());
  if (Array.isArray(value)) return value.map((inner) => cleanValue(inner, masker));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, cleanValue(inner, masker)]));
}
