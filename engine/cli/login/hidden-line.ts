/** Reads a line from a terminal without showing it. */
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";

/** What was typed until Enter; empty after Ctrl-D, null after Ctrl-C. The question goes to standard error. */
export async function readHiddenLine(question: string): Promise<string | null> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  const ended = new AbortController();
  let interrupted = false;
  lines.once("SIGINT", () => {
    interrupted = true;
    ended.abort();
  });
  lines.once("close", () => ended.abort());
  process.stderr.write(question);
  try {
    const line = await lines.question("", { signal: ended.signal }).catch(() => "");
    return interrupted ? null : line;
  } finally {
    lines.close();
    process.stderr.write("\n");
  }
}
