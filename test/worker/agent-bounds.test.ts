/** What keeps lines, transcript and texts bounded, and the words of the log. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createTail, firstBytes, lastBytes } from "../../worker-image/agent/bounded-text.ts";
import { type Line, createLineReader } from "../../worker-image/agent/lines.ts";
import { spoken } from "../../worker-image/agent/spoken.ts";
import { openTranscript } from "../../worker-image/agent/transcript.ts";

function linesOf(chunks: Buffer[], maxBytes?: number): Line[] {
  const lines: Line[] = [];
  const reader = createLineReader((line) => lines.push(line), maxBytes);
  for (const chunk of chunks) reader.push(chunk);
  reader.end();
  return lines;
}

test("lines are the same wherever the chunks are cut, and the last needs no line end", () => {
  const text = Buffer.from('{"a":"ä€"}\n\n  \nplain\nlast ö');
  for (let size = 1; size < text.length; size++) {
    const chunks = Array.from({ length: Math.ceil(text.length / size) }, (_, i) =>
      text.subarray(i * size, (i + 1) * size),
    );
    assert.deepEqual(
      linesOf(chunks).map((line) => line.text),
      ['{"a":"ä€"}', "plain", "last ö"],
    );
  }
});

test("of a line over the bound only the beginning is held, in whole characters, and the next line is whole", () => {
  const [long, next] = linesOf([Buffer.from("ä".repeat(1000)), Buffer.from(`${"b".repeat(1000)}\nnext\n`)], 101);
  assert.deepEqual(long, { text: "ä".repeat(50), bytes: 3000, cut: true });
  assert.deepEqual(next, { text: "next", bytes: 4, cut: false });
});

function transcriptOf(
  lines: Line[],
  isJson: (line: Line) => boolean,
  limits?: { maxBytes: number; maxLineBytes: number },
): string {
  const directory = mkdtempSync(join(tmpdir(), "myzel-transcript-"));
  try {
    const transcript = openTranscript(join(directory, "stream.jsonl"), limits);
    for (const line of lines) transcript.add(line, isJson(line));
    transcript.close();
    return readFileSync(join(directory, "stream.jsonl"), "utf8");
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const asLine = (text: string): Line => ({ text, bytes: Buffer.byteLength(text), cut: false });

test("a transcript keeps its beginning and its end, and says how much is missing in between", () => {
  const lines = Array.from({ length: 1000 }, (_, n) => asLine(JSON.stringify({ n, fill: "x".repeat(80) })));
  const kept = transcriptOf(lines, () => true, { maxBytes: 4000, maxLineBytes: 200 });
  assert.ok(kept.length < 4200);
  const parsed = kept
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.equal(parsed[0]?.["n"], 0);
  assert.equal(parsed.at(-1)?.["n"], 999);
  const marker = parsed.find((line) => line["subtype"] === "omitted");
  assert.equal(Number(marker?.["lines"]) + parsed.length - 1, 1000);
});

test("plain text and long lines become JSON lines within the bound, and a short transcript is whole", () => {
  const lines = [asLine("plain"), asLine(`{"long":"${"\u0001".repeat(5000)}"}`), asLine('{"ok":1}')];
  const kept = transcriptOf(lines, (line) => line.text.startsWith("{"), { maxBytes: 10_000, maxLineBytes: 1000 });
  const parsed = kept
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    parsed.map((line) => line["subtype"]),
    ["text", "cut", undefined],
  );
  for (const line of kept.split("\n")) assert.ok(Buffer.byteLength(line) <= 1000);
});

test("a transcript on a full disk is given up without an error", () => {
  const transcript = openTranscript("/dev/full");
  assert.doesNotThrow(() => {
    transcript.add(asLine("{}"), true);
    transcript.add(asLine("{}"), true);
    transcript.close();
  });
});

test("the end and the beginning of a text are cut at whole characters", () => {
  assert.equal(lastBytes("aä€b", 4), "€b");
  assert.equal(lastBytes("aä€b", 3), "b");
  assert.equal(firstBytes("aä€b", 5), "aä");
  assert.equal(firstBytes("aä€b", 100), "aä€b");
  const tail = createTail(10);
  for (let n = 0; n < 1000; n++) tail.add(`line ${n}\n`);
  assert.equal(tail.text(), "\nline 999\n");
});

test("a message is told in words, whatever its shape", () => {
  const call = { type: "tool_use", name: "Bash", input: { command: "ls\n-l" } };
  assert.equal(
    spoken({ type: "assistant", message: { content: [{ type: "text", text: " Hi " }, call] } }),
    'Hi\n→ Bash {"command":"ls\\n-l"}',
  );
  const result = { type: "tool_result", is_error: true, content: [{ type: "text", text: "no\n  such" }] };
  assert.equal(spoken({ type: "user", message: { content: [result] } }), "✗ no such");
  assert.match(spoken({ type: "result", is_error: true, errors: ["Reached x"] }) ?? "", /failed .*Reached x/);
  for (const odd of [
    null,
    3,
    "x",
    [],
    {},
    { type: "assistant" },
    { type: "assistant", message: { content: [null, 3] } },
  ]) {
    assert.equal(spoken(odd), null);
  }
});
