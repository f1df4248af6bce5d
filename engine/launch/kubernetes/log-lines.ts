/** The lines of a container's log as the API server gives them, each behind the time when it was said. Pure. */

/** Of a line that is longer the middle is lost: whoever writes it must not fill our memory. */
const MAX_LINE_CHARS = 256 * 2 ** 10;

export interface TimedText {
  /** Whole lines, each with its line break. */
  text: string;
  /** Of the last one: UTC, to the nanosecond, so that times compare as texts. */
  time: string;
}

/**
 * The lines later than `after`, as many at a time as come together. What stands behind the last line break counts
 * only where the log is `whole`: else it may be cut, and will be read again.
 */
export async function* timedLines(
  pieces: AsyncIterable<string>,
  { after, whole }: { after: string; whole: boolean },
): AsyncGenerator<TimedText> {
  let rest = "";
  for await (const piece of pieces) {
    const lines = (rest + piece).split("\n");
    rest = (lines.pop() ?? "").slice(0, MAX_LINE_CHARS);
    const text = laterThan(after, lines);
    if (text !== null) yield text;
  }
  const text = whole ? laterThan(after, [rest]) : null;
  if (text !== null) yield text;
}

/** Null: none of them. */
function laterThan(after: string, lines: readonly string[]): TimedText | null {
  let text = "";
  let last = "";
  for (const line of lines) {
    const space = line.indexOf(" ");
    const time = space > 0 ? inUtc(line.slice(0, space)) : "";
    if (time === "" || time <= after) continue;
    text += `${line.slice(space + 1)}\n`;
    last = time;
  }
  return last === "" ? null : { text, time: last };
}

const UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/;

/** A node may tell its own zone's time, and leave zeros out. Empty: it is no time. */
function inUtc(time: string): string {
  if (UTC.test(time)) return time;
  const at = Date.parse(time);
  if (Number.isNaN(at)) return "";
  const fraction = /\.(\d{1,9})/.exec(time)?.[1] ?? "";
  return `${new Date(at).toISOString().slice(0, 19)}.${fraction.padEnd(9, "0")}Z`;
}
