import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { timedLines } from "../../engine/launch/kubernetes/log-lines.ts";

async function* inPieces(...pieces: string[]): AsyncGenerator<string> {
  yield* pieces;
}

async function read(pieces: string[], options: { after?: string; whole?: boolean } = {}) {
  const all = { text: "", time: "" };
  for await (const { text, time } of timedLines(inPieces(...pieces), { after: "", whole: false, ...options })) {
    all.text += text;
    all.time = time;
  }
  return all;
}

const at = (nanoseconds: string) => `2026-11-21T10:00:05.${nanoseconds}Z`;

describe("the lines of a container's log", () => {
  it("are put together however they come", async () => {
    const whole = `${at("000000001")} one\n${at("000000002")} two  words\n${at("000000003")} \n`;
    const expected = { text: "one\ntwo  words\n\n", time: at("000000003") };
    assert.deepEqual(await read([whole]), expected);
    assert.deepEqual(await read([...whole]), expected);
  });

  it("are those after a time, for the server knows whole seconds only", async () => {
    const log = `${at("100000000")} one\n${at("200000000")} two\n${at("300000000")} three\n`;
    assert.equal((await read([log], { after: at("200000000") })).text, "three\n");
  });

  it("count only with their end, unless the log is whole: a connection breaks in the middle of a line", async () => {
    const log = [`${at("000000001")} one\n`, `${at("000000002")} tw`];
    assert.deepEqual(await read(log), { text: "one\n", time: at("000000001") });
    assert.deepEqual(await read(log, { whole: true }), { text: "one\ntw\n", time: at("000000002") });
  });

  it("are told in UTC whatever the node's zone, so that times compare and can be asked for", async () => {
    const local = "2026-11-21T12:00:05.25+02:00 one\n";
    assert.equal((await read([local])).time, at("250000000"));
    assert.equal((await read([local], { after: at("250000000") })).text, "");
    assert.equal((await read([local], { after: at("240000000") })).text, "one\n");
    assert.equal((await read(["2026-11-21T10:00:05Z one\n"])).time, at("000000000"));
  });

  it("are not what the kubelet says of itself", async () => {
    assert.deepEqual(await read(["unable to retrieve container logs for containerd://x\n"]), { text: "", time: "" });
  });

  it("are bounded, whoever writes them", async () => {
    const { text } = await read([
      `${at("000000001")} `,
      ...Array.from({ length: 100 }, () => "x".repeat(65_536)),
      "\n",
    ]);
    assert.ok(text.length < 400_000, `${text.length}`);
  });
});
