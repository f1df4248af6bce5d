/** The check command of the agent phase, with the real CLI. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type PhaseOptions, TOKEN, briefWith } from "../support/agent-phase.ts";
import { play } from "../support/play.ts";
import { text, textsOf, toolUse } from "../support/scripted-model.ts";

const CHECK = 'echo "checking"; test -f fixed || { echo "fixed is missing" >&2; exit 1; }';
const touch = toolUse("Bash", { command: "touch fixed" });

test("a check that fails goes back to the same session, and its passing afterwards is a success", async () => {
  const brief = briefWith({ check_command: CHECK, check_tries: 1 });
  await play([text("First done."), touch, text("Mended.")], { brief }, ({ outcome, model, log }) => {
    assert.ok(outcome?.success, log);
    assert.deepEqual(outcome.checks, { passed: true, tries: 2, output: "checking\n" });
    assert.equal(outcome.summary, "Mended.");
    assert.equal(outcome.turns, 3);
    assert.equal(outcome.input_tokens, 300, "tokens of both invocations, none twice");
    assert.match(textsOf(model.requests[1], "user"), /The checks of this task failed[\s\S]*fixed is missing/);
    assert.match(textsOf(model.requests[1], "assistant"), /First done\./);
  });
});

test("a check that fails for good is checks_failed after the profile's number of tries", async () => {
  for (const check_tries of [0, 2]) {
    const brief = briefWith({ check_command: CHECK, check_tries });
    await play([text("Done.")], { brief }, ({ outcome, model }) => {
      assert.equal(outcome?.code, "checks_failed");
      assert.equal(outcome.checks?.passed, false);
      assert.equal(outcome.checks.tries, check_tries + 1);
      assert.match(outcome.checks.output, /fixed is missing/);
      assert.equal(outcome.summary, "Done.");
      assert.match(outcome.logs ?? "", /fixed is missing/);
      assert.equal(model.requests.length, check_tries + 1);
    });
  }
});

test("no check runs after an agent that failed", async () => {
  const brief = briefWith({ check_command: "touch ../check-ran", max_turns: 1 });
  await play([touch], { brief }, ({ outcome, workspace }) => {
    assert.equal(outcome?.code, "max_turns");
    assert.equal(outcome.checks, null);
    assert.equal(workspace.exists("check-ran"), false);
  });
});

test("turns that are used up leave no further try", async () => {
  const brief = briefWith({ check_command: "false", check_tries: 5, max_turns: 2 });
  await play([touch, text("Done."), text("Again.")], { brief }, ({ outcome, model }) => {
    assert.equal(outcome?.code, "checks_failed");
    assert.equal(outcome.checks?.tries, 1);
    assert.equal(model.requests.length, 2);
  });
});

test("the check has no credential, neither in its environment nor in HOME", async () => {
  const login = {
    accessToken: "access-token-0123456789",
    refreshToken: "refresh-token-0123456789",
    expiresAt: Date.now() + 3_600_000,
    scopes: ["user:inference"],
  };
  const check_command = "env; ls -A $HOME/.claude; exit 1";
  await play([text("Done.")], { brief: briefWith({ check_command, check_tries: 0 }) }, ({ outcome }) => {
    assert.doesNotMatch(outcome?.checks?.output ?? "", /OAUTH|\[masked\]|MYZEL/);
  });
  const prepare = (workspace: Parameters<NonNullable<Parameters<typeof play>[1]["prepare"]>>[0]) => {
    workspace.write("claude/.credentials.json", JSON.stringify({ claudeAiOauth: login }), 0o600);
    return { environment: { CLAUDE_CODE_OAUTH_TOKEN: undefined, MYZEL_CLAUDE_DIR: `${workspace.path}/claude` } };
  };
  const brief = briefWith({ check_command, check_tries: 1 });
  await play([text("Done.")], { brief, prepare }, ({ outcome, model }) => {
    assert.equal(outcome?.checks?.tries, 2, outcome?.error ?? "");
    assert.doesNotMatch(outcome.checks.output, /\.credentials|\[masked\]/);
    assert.equal(model.requests[1]?.headers["authorization"], `Bearer ${login.accessToken}`);
  });
});

test("a check that never ends is ended by the time limit, and its output is masked and bounded", async () => {
  const check_command = `yes x | head -c 1000000; echo ${TOKEN}; sleep 300`;
  let output = "";
  // The limit counts from the beginning of the phase: on a slow machine the check may not have come so far by then.
  for (let limit = 4; !output.endsWith("[masked]\n") && limit < 100; limit *= 3) {
    const brief = briefWith({ check_command, time_limit_seconds: limit });
    await play([text("Done.")], { brief }, ({ outcome, wallMs }) => {
      assert.equal(outcome?.code, "deadline_exceeded");
      output = outcome.checks?.output ?? "";
      assert.ok(output.length <= 16 * 1024);
      assert.ok(wallMs < 200_000);
    });
  }
  assert.ok(output.endsWith("[masked]\n"), output);
});

test("SIGTERM during the check ends it and is `stopped`", async () => {
  const onStart: NonNullable<PhaseOptions["onStart"]> = (child) => {
    child.stdout?.on("data", (chunk) => {
      if (String(chunk).includes("Check: sleep")) child.kill("SIGTERM");
    });
  };
  await play([text("Done.")], { brief: briefWith({ check_command: "sleep 300" }), onStart }, ({ outcome, wallMs }) => {
    assert.equal(outcome?.code, "stopped");
    assert.ok(wallMs < 58_000); // the time limit is 60 s
  });
});
