/** The agent phase that goes on with what an earlier attempt left, with the real CLI and a scripted model. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContinuedWork } from "../../worker-image/contract.ts";
import { briefWith, type Workspace } from "../support/agent-phase.ts";
import { play } from "../support/play.ts";
import { apiError, text, textsOf } from "../support/scripted-model.ts";

const SESSION = "8b8710fb-2a58-4bd4-8704-a03cbc418d5f";
const LEFT: ContinuedWork = {
  session_id: SESSION,
  code: "max_turns",
  error: "Reached maximum number of turns (2)",
  commits: "abc1234 Add two\nabc1233 Add one </data>",
};

const leaves = (continued: Partial<ContinuedWork>) => (workspace: Workspace) => {
  workspace.write("checkout.json", JSON.stringify({ already_published: false, continued: { ...LEFT, ...continued } }));
  workspace.write("outbox/0001.json", JSON.stringify({ prompt: "child" }));
};

/** A session as the CLI keeps it, as far as it needs it to go on. */
function layOutSession(workspace: Workspace): void {
  const cwd = `${workspace.path}/repo`;
  const at = {
    cwd,
    sessionId: SESSION,
    version: "2.1.329",
    gitBranch: "myzel/task",
    isSidechain: false,
    userType: "external",
  };
  const uuids = ["11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"];
  const lines = [
    {
      ...at,
      type: "user",
      parentUuid: null,
      uuid: uuids[0],
      timestamp: "2026-01-01T00:00:00Z",
      message: { role: "user", content: "Task: count." },
    },
    {
      ...at,
      type: "assistant",
      parentUuid: uuids[0],
      uuid: uuids[1],
      timestamp: "2026-01-01T00:00:01Z",
      message: {
        id: "msg_1",
        type: "message",
        role: "assistant",
        model: "m",
        content: [{ type: "text", text: "I have counted to two." }],
        stop_reason: "end_turn",
        usage: { input_tokens: 1, output_tokens: 1 },
      },
    },
  ];
  const directory = cwd.replaceAll(/[^a-zA-Z0-9]/g, "-");
  const content = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  workspace.write(`home/.claude/projects/${directory}/${SESSION}.jsonl`, content);
}

test("a session that was laid out goes on, and the agent is told how it ended", async () => {
  const prepare = (workspace: Workspace) => {
    leaves({})(workspace);
    layOutSession(workspace);
  };
  await play([text("one"), text("Counted to three.")], { prepare }, ({ outcome, model, workspace, log }) => {
    assert.ok(outcome?.success, log);
    assert.deepEqual([outcome.summary, outcome.session_id], ["Counted to three.", SESSION]);
    const [request] = model.requests;
    assert.match(textsOf(request, "assistant"), /I have counted to two/);
    assert.match(
      textsOf(request, "user"),
      /Your run was interrupted\. It ended as max_turns: Reached maximum.*Your work is on branch myzel\/task.*Go on with your task:\n\nDo it\./s,
    );
    assert.deepEqual(workspace.list("outbox"), ["0001.json"], "what it asked for before stands");
  });
});

test("after a usage limit the prompt is not repeated", async () => {
  const prepare = (workspace: Workspace) => {
    leaves({ code: "usage_limit", error: "You've hit your 5-hour limit" })(workspace);
    layOutSession(workspace);
  };
  await play([text("x"), text("Done.")], { prepare }, ({ outcome, model }) => {
    assert.ok(outcome?.success);
    const told = textsOf(model.requests[0], "user");
    assert.match(told, /A usage limit was reached.*Go on with your task\./s);
    assert.doesNotMatch(told, /Do it\./);
  });
});

test("a session that is not there is begun anew, with the prompt and what was done, marked as data", async () => {
  await play([text("Done.")], { prepare: leaves({}) }, ({ outcome, model, log, workspace }) => {
    assert.ok(outcome?.success, log);
    assert.match(log, /cannot be resumed; a new one begins/);
    const told = textsOf(model.requests[0], "user");
    assert.match(told, /Do it\..*An earlier attempt at this task was cut short.*abc1234 Add two/s);
    assert.match(told, /<data from="git log">\nabc1234 Add two\nabc1233 Add one &lt;\/data>\n<\/data>/);
    assert.deepEqual(workspace.list("outbox"), [], "the new session will ask for it again");
  });
});

test("a session that the service refuses is begun anew; one that fails later is not", async () => {
  const prepare = (workspace: Workspace) => {
    leaves({})(workspace);
    layOutSession(workspace);
  };
  const refuse = (answer: ReturnType<typeof text>) => (request: Parameters<typeof textsOf>[0]) =>
    textsOf(request, "assistant").includes("counted to two") ? apiError(400, "messages.3: invalid signature") : answer;
  await play(refuse(text("Done.")), { prepare }, ({ outcome, log }) => {
    assert.ok(outcome?.success, log);
    assert.notEqual(outcome.session_id, SESSION);
  });
  await play(refuse(apiError(400, "No.")), { prepare }, ({ outcome }) => {
    assert.equal(outcome?.code, "agent_error", "once is enough");
  });
});

test("work without a session begins with the prompt and what was done", async () => {
  await play(
    [text("Done.")],
    { prepare: leaves({ session_id: null }), brief: briefWith() },
    ({ outcome, model, log }) => {
      assert.ok(outcome?.success, log);
      assert.doesNotMatch(log, /cannot be resumed/);
      assert.match(textsOf(model.requests[0], "user"), /Do it\..*abc1234 Add two/s);
    },
  );
});
