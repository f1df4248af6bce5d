/** What the programs that run at length share: their flags, an end by Ctrl-C, lines with the time, the verdict. */
import { parseArgs } from "node:util";

/**
 * The program's flags: whole numbers with their defaults, and texts. A wrong one is said in a sentence, and the program
 * ends with exit code 2.
 */
export function longRunFlags<Count extends string, Text extends string>(
  numbers: Readonly<Record<Count, number>>,
  texts: readonly Text[] = [],
): Record<Count, number> & Partial<Record<Text, string>> {
  try {
    const names = [...Object.keys(numbers), ...texts];
    const { values } = parseArgs({
      options: Object.fromEntries(names.map((name) => [name, { type: "string" as const }])),
    });
    const read = names.map((name) => [name, name in numbers ? wholeNumber(name, values[name], numbers) : values[name]]);
    return Object.fromEntries(read) as Record<Count, number> & Partial<Record<Text, string>>;
  } catch (error) {
    console.error((error as Error).message);
    process.exit(2);
  }
}

function wholeNumber(name: string, text: string | undefined, defaults: Readonly<Record<string, number>>): number {
  const value = text === undefined ? (defaults[name] ?? 0) : Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`--${name}: "${text}" is no whole number above 0`);
}

/** A signal that Ctrl-C aborts, and a printer of lines with the seconds since now. */
export function longRun(): { signal: AbortSignal; say: (line: string) => void } {
  const interrupt = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      process.on("unhandledRejection", () => undefined); // of what is being cut off
      interrupt.abort();
    });
  }
  const begin = performance.now();
  const seconds = () => String(Math.round((performance.now() - begin) / 1000)).padStart(5);
  return { signal: interrupt.signal, say: (line) => console.log(`${seconds()} s  ${line}`) };
}

/** Prints a fault suite's report and sets the exit code: 1 where an invariant was violated. */
export function printVerdict(report: { violations: readonly string[] }): void {
  console.log(JSON.stringify(report, null, 2));
  console.log(report.violations.length === 0 ? "every invariant held" : `${report.violations.length} violations`);
  process.exitCode = report.violations.length === 0 ? 0 : 1;
}
