import assert from "node:assert/strict";
import { test } from "node:test";
import { createMasker, secretForms } from "../../worker-image/masking.ts";

const TOKEN = `sk-ant-oat01-${"Ab3+/x_Z".repeat(12)}-tail`;

async function throughStream(text: Buffer, cuts: (length: number) => number): Promise<string> {
  const stream = createMasker([TOKEN]).stream();
  const parts: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => parts.push(Buffer.from(chunk)));
  for (let at = 0; at < text.length;) {
    const size = Math.max(1, cuts(text.length - at));
    stream.write(text.subarray(at, at + size));
    at += size;
  }
  stream.end();
  await new Promise((resolve) => stream.once("end", resolve));
  return Buffer.concat(parts).toString("utf8");
}

test("a secret is masked as it is, URL-encoded, escaped as in JSON and in base64 at each of three offsets", () => {
  const masker = createMasker([TOKEN, 'pass"word\\1']);
  assert.equal(masker.text(`a ${TOKEN} b`), "a [masked] b");
  assert.equal(masker.text(`?t=${encodeURIComponent(TOKEN)}&x`), "?t=[masked]&x");
  assert.equal(masker.text(JSON.stringify('x pass"word\\1 y')), '"x [masked] y"');
  for (const before of ["", "u", "us", "usr", "user:"]) {
    for (const encoding of ["base64", "base64url"] as const) {
      const encoded = Buffer.from(`${before}${TOKEN}!rest`).toString(encoding);
      const masked = masker.text(encoded);
      assert.ok(masked.includes("[masked]"), `${before} ${encoding}`);
      assert.ok(masked.length < 30, `${before} ${encoding}: ${masked}`);
    }
  }
});

test("base64 that is wrapped at 76 or 64 columns is masked", () => {
  const masker = createMasker([TOKEN]);
  for (const columns of [76, 64]) {
    const text = Buffer.from(TOKEN)
      .toString("base64")
      .replace(new RegExp(`.{${columns}}`, "g"), "$&\n");
    assert.match(masker.text(text), /^(\[masked\]\n?)+[A-Za-z0-9+/=]{0,12}\n?$/);
  }
});

test("values shorter than eight characters are left alone", () => {
  assert.deepEqual(secretForms(["short", "", "       x"]), []);
  assert.equal(createMasker(["short"]).text("short"), "short");
});

test("a stream masks a secret wherever its chunks are cut, multi-byte characters included", async () => {
  const text = Buffer.from(`ä ${TOKEN} ö ${TOKEN}${TOKEN} sk-ant-oat0 ${TOKEN.slice(0, 40)} € end`);
  const expected = `ä [masked] ö [masked][masked] sk-ant-oat0 ${TOKEN.slice(0, 40)} € end`;
  for (const size of [1, 2, 3, 7, 50, 110, 1000]) assert.equal(await throughStream(text, () => size), expected);
  let seed = 42;
  for (let round = 0; round < 200; round++) {
    const random = (max: number) => (seed = (seed * 1103515245 + 12345) % 2147483648) % Math.min(max, 60);
    assert.equal(await throughStream(text, random), expected, `seed round ${round}`);
  }
});

test("a stream of text that holds no secret is passed on at once", () => {
  const stream = createMasker([TOKEN]).stream();
  stream.write("hello");
  assert.equal(String(stream.read()), "hello");
  stream.destroy();
});
