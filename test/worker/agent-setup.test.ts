/** The setup command of the agent phase, with the real CLI. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type PhaseOptions, TOKEN, briefWith } from "../support/agent-phase.ts";
import { play } from "../support/play.ts";
import { text, toolUse } from "../support/scripted-model.ts";

test("the setup runs in the work tree before the agent, without a credential, and the transcript holds it", async () => {
  const setup_command = "echo installing; pwd > where; env > setup-environment; ls -A $HOME > home-before";
  const look = toolUse("Bash", { command: "cat where" });
  await play([look, text("Done.")], { brief: briefWith({ setup_command }) }, ({ outcome, workspace, stream, log }) => {
    assert.ok(outcome?.success, log);
    assert.equal(workspace.read("repo/where").trim(), `${workspace.path}/repo`);
    assert.doesNotMatch(workspace.read("repo/setup-environment"), /OAUTH|MYZEL|sk-ant/);
    assert.doesNotMatch(workspace.read("repo/home-before"), /\.claude/);
    const lines = stream
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { text?: string; type: string });
    assert.deepEqual(
      lines.slice(0, 2).map((line) => line.text),
      [`Setup: ${setup_command}`, "Setup passed:\ninstalling\n"],
    );
    assert.match(log, /Setup passed/);
  });
});

test("a setup that fails is agent_error with its output, and no agent starts", async () => {
  const setup_command = `echo "no such package ${TOKEN}" >&2; exit 7`;
  await play([text("Done.")], { brief: briefWith({ setup_command }) }, ({ outcome, model, stream }) => {
    assert.deepEqual([outcome?.success, outcome?.code, outcome?.checks], [false, "agent_error", null]);
    assert.equal(outcome?.error, "The setup command failed (exit code 7), so the agent was not started.");
    assert.equal(outcome.logs, "Setup failed: no such package [masked]\n\n");
    assert.equal(model.requests.length, 0);
    assert.ok(!stream.includes(TOKEN));
  });
});

test("the setup's time counts, and one that never ends is ended by the time limit", async () => {
  const brief = briefWith({ setup_command: "sleep 300", time_limit_seconds: 3 });
  await play([text("Done.")], { brief }, ({ outcome, wallMs }) => {
    assert.equal(outcome?.code, "deadline_exceeded");
    assert.match(outcome.error ?? "", /^The setup command did not end within the time limit of 3 seconds\.$/);
    assert.ok(wallMs < 200_000);
  });
});

test("SIGTERM during the setup ends it and is `stopped`", async () => {
  const onStart: NonNullable<PhaseOptions["onStart"]> = (child) => {
    child.stdout?.on("data", (chunk) => {
      if (String(chunk).includes("Setup: sleep")) child.kill("SIGTERM");
    });
  };
  await play([text("Done.")], { brief: briefWith({ setup_command: "sleep 300" }), onStart }, ({ outcome }) => {
    assert.equal(outcome?.code, "stopped");
  });
});

test("the directory login is not in HOME while the setup runs", async () => {
  const login = {
    accessToken: "access-token-0123456789",
    refreshToken: "refresh-token-0123456789",
    expiresAt: Date.now() + 3_600_000,
    scopes: ["user:inference"],
  };
  await play(
    [text("Done.")],
    {
      brief: briefWith({ setup_command: "cat $HOME/.claude/.credentials.json; true" }),
      prepare(workspace) {
        workspace.write("claude/.credentials.json", JSON.stringify({ claudeAiOauth: login }), 0o600);
        return { environment: { CLAUDE_CODE_OAUTH_TOKEN: undefined, MYZEL_CLAUDE_DIR: `${workspace.path}/claude` } };
      },
    },
    ({ outcome, stream }) => {
      assert.ok(outcome?.success, outcome?.error ?? "");
      assert.match(stream, /Setup passed:\\n\S*cat: .*No such file/);
    },
  );
});
