/** Text on its way to people: scrubbed of secrets, without control characters, cut to size. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { firstInvalidByte } from "../../engine/cli/read-prompt.ts";
import { duration, firstLine, localTime, oneLine, plain, table } from "../../engine/cli/terminal/terminal-text.ts";
import { transcriptText } from "../../engine/cli/task/transcript-text.ts";
import { scrubbed } from "../../engine/scrubbing.ts";

describe("text for people", () => {
  it("secrets of every usual shape are taken out, and what surrounds them stays", () => {
    const secrets = [
      "sk-ant-oat01-abcdefgh_1234",
      "sk-ant-api03-abcdefgh-1234",
      "ghp_0123456789abcdefABCD",
      "github_pat_0123456789abcdefABCD",
      "glpat-0123456789abcdefABCD",
      "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-def",
    ];
    for (const secret of secrets) assert.equal(scrubbed(`before ${secret} after`), "before [hidden] after");
    assert.equal(scrubbed("postgresql://u:p%40w@h:1/d?x"), "postgresql://u:[hidden]@h:1/d?x");
    assert.equal(scrubbed("postgresql:///d?user=u&password=pw&a=b"), "postgresql:///d?user=u&password=[hidden]&a=b");
    assert.equal(scrubbed("Authorization: Bearer abcdefgh12345"), "Authorization: Bearer [hidden]");
    assert.equal(
      scrubbed('{"run_token":"a\\"b","input_tokens":12,"a":"b"}'),
      '{"run_token":"[hidden]","input_tokens":12,"a":"b"}',
    );
    const harmless = "https://host:8443/path ssh://git@host:22/x git@host:x.git 12:30 a@b.c";
    assert.equal(scrubbed(harmless), harmless);
  });

  it("a time names its zone", () => {
    const time = new Date("2026-10-25T14:03:12Z");
    const inZone = (zone: string) => {
      const before = process.env["TZ"];
      process.env["TZ"] = zone;
      const text = localTime(time);
      if (before === undefined) delete process.env["TZ"];
      else process.env["TZ"] = before;
      return text;
    };
    assert.equal(inZone("UTC"), "2026-10-25 14:03:12 UTC");
    assert.equal(inZone("America/New_York"), "2026-10-25 10:03:12 -04:00");
    assert.equal(inZone("Asia/Kolkata"), "2026-10-25 19:33:12 +05:30");
  });

  it("control characters go, line breaks and tabs stay; a line is cut by characters, not halves of them", () => {
    assert.equal(plain("a\u001b[2Jb\u0000c\td\r\ne\u009bf\u202eg"), "abc\td\neg");
    assert.equal(oneLine("a\n b\t\tc"), "a b c");
    assert.equal(oneLine("🍄🍄🍄🍄", 3), "🍄🍄…");
    assert.equal(firstLine("\n\n first\nsecond", 80), "first");
    assert.equal(
      table(
        ["A", "B"],
        [
          ["🍄", "x"],
          ["long", "y"],
        ],
      ),
      "A     B\n🍄     x\nlong  y",
    );
    assert.deepEqual([0, 119_000, 120_000, 7_200_000, 172_800_000].map(duration), [
      "0 s",
      "119 s",
      "2 min",
      "2 h",
      "2 d",
    ]);
  });

  it("the first byte that is no UTF-8 is found wherever it stands", () => {
    const cases: [number[], number][] = [
      [[0xff], 0],
      [[0x61, 0xff], 1],
      [[0xc3, 0xa4, 0xa4], 2],
      [[0xf0, 0x9f, 0x8d, 0x84, 0xc3], 4],
      [[0x61, 0xed, 0xa0, 0x80], 1],
      [[0x61, 0xc0, 0x80], 1],
    ];
    for (const [bytes, offset] of cases) assert.equal(firstInvalidByte(Buffer.from(bytes)), offset);
  });

  it("lines of a transcript become words, and what is no JSON is text already", () => {
    assert.equal(transcriptText('{"type":"log","text":"said\\u001b[1m"}'), "said");
    assert.equal(
      transcriptText('{"type":"myzel","subtype":"omitted","lines":3,"bytes":9}'),
      "[3 lines are left out here]",
    );
    assert.equal(transcriptText('{"type":"rate_limit_event"}'), null);
    assert.equal(transcriptText("{broken"), "{broken");
    assert.equal(transcriptText("[myzel] checkout"), "[myzel] checkout");
  });
});
