import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { scrubbed } from "../../engine/scrubbing.ts";

const WEB_TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl-x";

describe("the net for secrets", () => {
  it("finds a web token behind words with dots, and a password behind any scheme", () => {
    assert.equal(scrubbed(`host.${WEB_TOKEN}`), "host.[hidden]");
    assert.equal(scrubbed(`a.production-key.${WEB_TOKEN} b`), "a.production-key.[hidden] b");
    assert.equal(scrubbed(`session-${WEB_TOKEN}`), "session-[hidden]");
    assert.equal(scrubbed(`${"x".repeat(40)}+ssh://me:pw@host`), `${"x".repeat(40)}+ssh://me:[hidden]@host`);
  });

  it("takes no longer for what is made to be slow", () => {
    const size = 400_000;
    for (const part of ["a-", "a.a.a.", "aaaaaaaaaaaa.", "a+", "-eyJ", "eyJ-", '"token', "token", "a://", "Bearer "]) {
      const begin = performance.now();
      scrubbed(`"${part.repeat(size / part.length)}`);
      assert.ok(performance.now() - begin < 2_000, `${part}: ${performance.now() - begin} ms`); // it would be a minute
    }
  });
});
