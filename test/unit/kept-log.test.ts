import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { gunzipSync } from "node:zlib";
import { createKeptLog } from "../../engine/loops/logs/kept-log.ts";
import type { KeptLog } from "../../engine/loops/logs/kept-log.ts";

interface Line {
  type: string;
  subtype?: string;
  text?: string;
  place?: string;
  lines?: number;
}

const linesOf = (log: KeptLog): string[] =>
  gunzipSync(log.content().content)
    .toString("utf8")
    .split("\n")
    .filter((line) => line !== "");
const entriesOf = (log: KeptLog): Line[] => linesOf(log).map((line) => JSON.parse(line) as Line);
const textOf = (log: KeptLog): (string | undefined)[] =>
  entriesOf(log)
    .filter(({ type }) => type === "log")
    .map(({ text }) => text);

describe("what is kept of a log", () => {
  it("is its lines, and the place up to which it was read", () => {
    const log = createKeptLog();
    assert.equal(log.tail(100), null);
    log.add("cloning\ncloned\n", "7");
    log.add('it says "ä\u2028"\n', "8");
    assert.deepEqual(entriesOf(log), [
      { type: "log", text: "cloning" },
      { type: "log", text: "cloned" },
      { type: "log", text: 'it says "ä\u2028"' },
      { type: "myzel", subtype: "place", place: "8" },
    ]);
    const { rawBytes, truncated, content } = log.content();
    assert.deepEqual([rawBytes, truncated], [gunzipSync(content).length, false]);
    assert.equal(log.tail(100), 'cloning\ncloned\nit says "ä\u2028"\n');
    assert.equal(log.tail(20), 'it says "ä\u2028"\n');
  });

  it("goes on with what another engine has stored", () => {
    const first = createKeptLog();
    first.add("one\n", "1");
    const second = createKeptLog(linesOf(first));
    assert.equal(second.place(), "1");
    second.add("two\n", "2");
    assert.deepEqual(textOf(second), ["one", "two"]);
    assert.equal(entriesOf(second).filter(({ subtype }) => subtype === "place").length, 1);
  });

  it("tells a version for each thing that is new, and a remark that is repeated is none", () => {
    const log = createKeptLog();
    log.add("one\n", "1");
    log.add("[myzel] cannot be had\n", null);
    const version = log.version();
    log.add("[myzel] cannot be had\n", null);
    assert.equal(log.version(), version);
    assert.equal(log.place(), "1");
    log.add("two\n", "2");
    log.add("[myzel] cannot be had\n", null);
    assert.equal(log.version(), version + 2);
    assert.equal(textOf(log).length, 4);
  });

  it("keeps the end within its bounds, whatever the lines are, and says how many are missing", () => {
    const cases: [number, (n: number) => string][] = [
      [4_000, (n) => `${n} ${"the agent reads a file ".repeat(20)}`],
      [400, (n) => `${n} ${randomBytes(3_000).toString("base64")}`],
      [50, (n) => `${n} ${"\u0001".repeat(20_000)}`],
    ];
    for (const [count, line] of cases) {
      let log = createKeptLog();
      for (let n = 1; n <= count; n++) {
        log.add(`${line(n)}\n`, String(n));
        // As when another engine takes over.
        if (n === Math.ceil(count * 0.7)) log = createKeptLog(linesOf(log));
      }
      const { content, rawBytes, truncated } = log.content();
      assert.ok(rawBytes <= 2 ** 19 + 2 ** 17, `${rawBytes} bytes`);
      assert.ok(content.length <= 2 ** 17 + 2 ** 16, `${content.length} bytes compressed`);
      assert.equal(truncated, true);
      const [omitted, ...rest] = entriesOf(log);
      const texts = rest.slice(0, -1);
      assert.equal((omitted?.lines ?? 0) + texts.length, count);
      assert.equal(texts.at(-1)?.text?.split(" ")[0], String(count));
      assert.equal(texts[0]?.text?.split(" ")[0], String((omitted?.lines ?? 0) + 1));
      const tail = log.tail(8_192) ?? "";
      assert.ok(tail.length > 0 && Buffer.byteLength(tail) <= 8_192);
    }
  });

  it("holds nothing that looks like a secret, and no endless line", () => {
    const log = createKeptLog();
    log.add(`token sk-ant-oat01-${"a".repeat(40)}\n`, "1");
    log.add(`${"x".repeat(1_000_000)}\n`, "2");
    assert.deepEqual(textOf(log)[0], "token [hidden]");
    assert.ok((textOf(log)[1]?.length ?? 0) < 17_000);
  });

  it("takes lines that are made to be slow as fast as any", () => {
    const log = createKeptLog();
    const begin = performance.now();
    for (const part of ["a-", "a.a.a.", "a+", "eyJ-", '"token', "a://"]) {
      for (let n = 0; n < 20; n++) log.add(`${part.repeat(16_000 / part.length)}\n`, "1");
    }
    assert.ok(performance.now() - begin < 5_000, `${performance.now() - begin} ms`); // it would be minutes
  });
});
