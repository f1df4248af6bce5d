import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { ApiError, errorOfAnswer, mayPass } from "../../engine/launch/kubernetes/api-error.ts";
import { createGate } from "../../engine/launch/kubernetes/create-gate.ts";
import { withPatience } from "../../engine/launch/kubernetes/patience.ts";

const busy = (retryAfterMs: number) => new ApiError({ status: 429, message: "busy", retryAfterMs });

describe("the gate before creations", () => {
  it("lets only so many through at once, and all in the end", async () => {
    const gate = createGate(3);
    let now = 0;
    let most = 0;
    const create = () =>
      gate.run(async () => {
        most = Math.max(most, (now += 1));
        await new Promise<void>((resolve) => setImmediate(resolve));
        now -= 1;
      });
    await Promise.all(Array.from({ length: 20 }, create));
    assert.deepEqual([most, now], [3, 0]);
  });

  it("a failure frees its place", async () => {
    const gate = createGate(1);
    await assert.rejects(gate.run(() => Promise.reject(new Error("no"))));
    assert.equal(await gate.run(async () => 7), 7);
  });

  it("lets half as many through after a pause, and more again with each success", async () => {
    const gate = createGate(8);
    gate.pause(1);
    await delay(10); // over: what waits for its end goes on one by one, as its timers come
    const mostNow = async (): Promise<number> => {
      let now = 0;
      let most = 0;
      const create = () =>
        gate.run(async () => {
          most = Math.max(most, (now += 1));
          await new Promise<void>((resolve) => setImmediate(resolve));
          now -= 1;
        });
      await Promise.all(Array.from({ length: 8 }, create));
      return most;
    };
    assert.equal(await mostNow(), 4);
    for (let round = 0; round < 8; round += 1) await mostNow();
    assert.equal(await mostNow(), 8);
  });

  it("nothing begins during a pause", async () => {
    const gate = createGate(1);
    const began = performance.now();
    gate.pause(50);
    await gate.run(async () => undefined);
    assert.ok(performance.now() - began >= 49);
  });
});

describe("patience with the API server", () => {
  it("asks again where that may help, as late as the server wants", async () => {
    const answers = [busy(10), new ApiError({ status: null, message: "away" })];
    const pauses: number[] = [];
    const ask = async (): Promise<string> => {
      const error = answers.shift();
      if (error !== undefined) throw error;
      return "done";
    };
    assert.equal(await withPatience({ limitMs: 5_000, onPause: (ms) => pauses.push(ms) }, ask), "done");
    assert.equal(pauses[0], 10);
    assert.equal(pauses.length, 2);
  });

  it("gives a refusal its own time, however long the server was away before", async () => {
    const began = performance.now();
    let refused = 0;
    const ask = async (): Promise<string> => {
      if (performance.now() - began < 400) throw busy(20);
      if (refused++ === 0) throw new ApiError({ status: 403, message: "its roles are not read yet", retryAfterMs: 10 });
      return "done";
    };
    assert.equal(await withPatience({ limitMs: 300, busyLimitMs: 60_000 }, ask), "done");
  });

  it("gives up at its limit, and at once where asking again cannot help", async () => {
    await assert.rejects(
      withPatience({ limitMs: 100 }, () => Promise.reject(busy(60_000))),
      /busy/,
    );
    const invalid = new ApiError({ status: 422, message: "invalid" });
    let asked = 0;
    await assert.rejects(
      withPatience({ limitMs: 5_000 }, async () => {
        asked += 1;
        throw invalid;
      }),
      /invalid/,
    );
    assert.equal(asked, 1);
  });

  it("knows what may pass: no answer, too many requests, a fault of the server's own, and roles that it has not read yet", () => {
    const passes = [null, 408, 429, 500, 503, 504, 400, 401, 403, 404, 409, 410, 422].filter((status) =>
      mayPass(new ApiError({ status, message: "" })),
    );
    assert.deepEqual(passes, [null, 408, 429, 500, 503, 504, 401, 403]);
    assert.equal(mayPass(new Error("a bug")), false);
  });

  it("reads reason, message and Retry-After of an answer, and takes any other text as it is", () => {
    const error = errorOfAnswer(429, { "retry-after": "2" }, '{"reason":"TooManyRequests","message":"later"}');
    assert.deepEqual(
      [error.status, error.reason, error.message, error.retryAfterMs],
      [429, "TooManyRequests", "later", 2000],
    );
    assert.equal(errorOfAnswer(502, {}, "<html>").message, "HTTP 502: <html>");
  });
});
