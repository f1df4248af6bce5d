/** What the agent phase prints. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openLog } from "../../worker-image/agent/log.ts";
import { eventually } from "../support/waiting.ts";

const secrets = { mask: (text: string) => text.replaceAll("secret", "[masked]"), refresh: () => {} };

test("a sign of life comes whenever nothing else was printed for long, also where the log is full", async () => {
  const printed: string[] = [];
  const log = openLog(secrets, (text) => printed.push(text), 20);
  const end = log.startPulse(40);
  try {
    await eventually("a sign of life", () => printed.length >= 2);
    assert.ok(printed.every((line) => line === "… at work for 0 minutes\n"));
    log.say("a secret that fills all the room there is");
    const before = printed.length;
    await eventually("a sign of life", () => printed.length > before);
    assert.match(printed.at(-1) ?? "", /at work/);
  } finally {
    end();
  }
});

test("a log that speaks gets no sign of life, and one that has ended neither", async () => {
  const printed: string[] = [];
  const log = openLog(secrets, (text) => printed.push(text));
  const end = log.startPulse(60_000);
  log.say("thinking");
  end();
  assert.deepEqual(printed, ["thinking\n"]);
});
