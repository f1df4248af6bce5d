/** Reads a line from a terminal without showing it. */
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";

/** What was typed until Enter; empty after Ctrl-C or Ctrl-D. The question goes to standard error. */
export async function readHiddenLine(question: string): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  const ended = new AbortController();
  lines.once("SIGINT", () => ended.abort());
  lines.once("close", () => ended.abort());
  process.stderr.write(question);
  try {
    return await lines.question("", { signal: ended.signal }).catch(() => "");
  } finally {
    lines.close();
    process.stderr.write("\n");
  }
}
