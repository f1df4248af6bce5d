/** One line of a transcript or of a run's log in words for people. */
import { spoken } from "../../../worker-image/agent/spoken.ts";
import { plain } from "../terminal/terminal-text.ts";

/** Null where the line says nothing to people. A line that is no JSON is text already. */
export function transcriptText(line: string): string | null {
  const message = parsed(line);
  if (message === null) return plain(line);
  const { type, text, lines } = message;
  if (type === "log" || (type === "myzel" && typeof text === "string")) return plain(String(text));
  if (type === "myzel" && typeof lines === "number") return `[${lines} lines are left out here]`;
  const said = spoken(message);
  return said === null ? null : plain(said);
}

/** Whether the line is an object of JSON. */
export function isJsonLine(line: string): boolean {
  return parsed(line) !== null;
}

function parsed(line: string): Record<string, unknown> | null {
  if (!line.startsWith("{")) return null;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return null;
  }
}
