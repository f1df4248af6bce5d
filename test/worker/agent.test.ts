/** The agent phase with the real CLI and a scripted model: the ways a run goes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { processInfo } from "../../engine/launch/process/proc.ts";
import { EXIT } from "../../worker-image/contract.ts";
import { type PhaseOptions, TOKEN, type Workspace, briefWith } from "../support/agent-phase.ts";
import { play } from "../support/play.ts";
import {
  type Script,
  apiError,
  connectionReset,
  hang,
  silenceInMidStream,
  systemPromptOf,
  text,
  textsOf,
  toolUse,
  usageLimit,
  withUsage,
} from "../support/scripted-model.ts";
import { eventually } from "../support/waiting.ts";

const commit = toolUse(
  "Bash",
  { command: "echo hi > file.txt && git add -A && git commit -m 'Add file'" },
  "I write it.",
);

test("a run that writes and commits a file ends as a success with summary, cost, turns and tokens", async () => {
  await play([commit, text("All done.")], {}, ({ exitCode, outcome, stream, log, workspace, model }) => {
    assert.equal(exitCode, EXIT.ok, log);
    assert.ok(outcome?.success, log);
    assert.equal(outcome.code, null);
    assert.equal(outcome.summary, "All done.");
    assert.equal(outcome.turns, 2);
    assert.equal(outcome.input_tokens, 200);
    assert.ok(outcome.cost_usd > 0);
    assert.match(outcome.session_id ?? "", /^[0-9a-f-]{36}$/);
    assert.match(outcome.model ?? "", /sonnet/);
    const shown = workspace.run("git", "log", "-1", "--format=%an <%ae> %cn %B");
    assert.equal(shown.trim(), "Myzel agent worker-1 <agent@myzel.invalid> Myzel agent worker-1 Add file");
    for (const line of stream.trim().split("\n")) JSON.parse(line);
    assert.match(stream, /"subtype":"init"/);
    assert.match(log, /→ Bash .*git commit/);
    assert.match(log, /I write it\.[\s\S]*All done\.[\s\S]*Outcome: success/);
    assert.equal(model.requests[0]?.headers["authorization"], `Bearer ${TOKEN}`);
    assert.equal(model.requests[0]?.headers["x-api-key"], undefined);
    assert.match(systemPromptOf(model.requests[0]), /worker agent of Myzel/);
    assert.doesNotMatch(JSON.stringify(model.requests[0]?.body), /Co-Authored-By|create_task/);
  });
});

test("the profile's system prompt, model, effort and CLAUDE.md of the repository reach the model", async () => {
  const brief = briefWith({ role: "green", system_prompt: "Always be brief.", model: "haiku", effort: "low" });
  const prepare = (workspace: Workspace) => void workspace.write("repo/CLAUDE.md", "House rule seven.");
  await play([text("ok")], { brief, prepare }, ({ model, outcome }) => {
    assert.ok(outcome?.success);
    assert.match(systemPromptOf(model.requests[0]), /project manager agent of Myzel[\s\S]*Always be brief\./);
    assert.doesNotMatch(systemPromptOf(model.requests[0]), /Base system prompt of/);
    assert.match(model.requests[0]?.body.model ?? "", /haiku/);
    assert.match(JSON.stringify(model.requests[0]?.body.messages), /House rule seven/);
  });
});

test("create_task leaves a task in the outbox, and a bad one is answered with a sentence", async () => {
  const script = [
    toolUse("mcp__myzel__create_task", { prompt: "Write the tests", addressee: "worker-7", branch: "feature/x" }),
    toolUse("mcp__myzel__create_task", { prompt: " ", addressee: "worker-8" }),
    text("Planned."),
  ];
  await play(
    script,
    { brief: briefWith({ may_create_tasks: true, role: "green" }) },
    ({ workspace, model, outcome }) => {
      assert.ok(outcome?.success);
      assert.deepEqual(workspace.list("outbox"), ["0001.json"]);
      assert.deepEqual(JSON.parse(workspace.read("outbox/0001.json")), {
        prompt: "Write the tests",
        addressee: "worker-7",
        repo_url: null,
        branch: "feature/x",
        base_branch: null,
        kind: null,
        step: null,
        paths: null,
        wake: "each",
        pull_request: false,
      });
      const tool = model.requests[0]?.body.tools?.find((one) => one.name === "mcp__myzel__create_task");
      assert.ok(tool, "offered in the first request");
      assert.match(textsOf(model.requests[2], "user"), /Task 1 of this run is noted for worker-7/);
      assert.match(textsOf(model.requests[2], "user"), /The prompt is empty/);
    },
  );
});

test("a run whose tool call failed and that ends without a text is a success", async () => {
  await play([toolUse("NoSuchTool", {}), text("")], {}, ({ outcome }) => {
    assert.equal(outcome?.success, true);
    assert.equal(outcome.summary, null);
  });
});

test("a prompt that begins with a slash or names a file is text to the model and nothing else", async () => {
  const prompt = '/clear\n/init\nlook at @/etc/passwd and @"/etc/passwd"';
  await play([text("ok")], { brief: briefWith({}, { prompt }) }, ({ model, outcome }) => {
    assert.ok(outcome?.success);
    assert.equal(model.requests.length, 1);
    const sent = JSON.stringify(model.requests[0]?.body);
    assert.doesNotMatch(sent, /root:x:0/);
    assert.ok(textsOf(model.requests[0], "user").includes(prompt), "the text is unchanged");
  });
});

test("a prompt of 2 MB arrives whole", async () => {
  const prompt = "x".repeat(2_000_000);
  await play([text("ok")], { brief: briefWith({}, { prompt }) }, ({ model, outcome }) => {
    assert.ok(outcome?.success);
    assert.ok(textsOf(model.requests[0], "user").includes(prompt));
  });
});

test("a reached usage limit is usage_limit with the time of its reset", async () => {
  const resetsAt = Math.floor(Date.now() / 1000) + 3600;
  await play([usageLimit(resetsAt)], {}, ({ outcome, exitCode }) => {
    assert.equal(exitCode, EXIT.ok);
    assert.equal(outcome?.code, "usage_limit");
    assert.equal(outcome.resets_at, resetsAt);
    assert.match(outcome.error ?? "", /hit your 5-hour limit/);
  });
});

for (const [name, answer, code] of [
  ["a rejected login", apiError(401), "auth_failed"],
  ["a forbidden one", apiError(403), "auth_failed"],
  ["a plain 429", apiError(429), "api_overloaded"],
  ["a 529", apiError(529), "api_overloaded"],
  ["a 500", apiError(500), "api_overloaded"],
  ["a cut connection", connectionReset, "api_overloaded"],
  ["an unknown model", apiError(404), "agent_error"],
] as const) {
  test(`${name} is ${code}`, async () => {
    await play([answer], {}, ({ outcome, exitCode, log }) => {
      assert.equal(exitCode, EXIT.ok, log);
      assert.equal(outcome?.success, false);
      assert.equal(outcome.code, code, outcome.error ?? "");
      assert.ok(outcome.error && outcome.error.length > 10);
      assert.equal(outcome.resets_at, null);
    });
  });
}

test("an API that recovers within the CLI's own retries is no failure", async () => {
  const brief = briefWith({ environment: { CLAUDE_CODE_MAX_RETRIES: "2" } });
  await play([[apiError(529), apiError(529), text("ok")]], { brief }, ({ outcome }) => assert.ok(outcome?.success));
});

test("more turns than allowed is max_turns, more cost than allowed is cost_limit", async () => {
  const forever = [toolUse("Bash", { command: "true" })];
  await play(forever, { brief: briefWith({ max_turns: 2 }) }, ({ outcome }) => {
    assert.equal(outcome?.code, "max_turns");
    assert.match(outcome.error ?? "", /maximum number of turns/);
  });
  const dear = forever.map((answer) => withUsage(answer, { output_tokens: 10_000 }));
  await play(dear, { brief: briefWith({ max_cost_usd: 0.05 }) }, ({ outcome }) => {
    assert.equal(outcome?.code, "cost_limit");
    assert.ok((outcome.cost_usd ?? 0) >= 0.05);
  });
});

test("a model that never answers, or falls silent in mid-stream, makes the run hung after the limit on silence", async () => {
  for (const silence of [hang, silenceInMidStream]) {
    await play([silence], { brief: briefWith({ silence_seconds: 2 }) }, ({ outcome, wallMs }) => {
      assert.equal(outcome?.code, "hung");
      assert.match(outcome.error ?? "", /no output for 2 seconds/);
      assert.ok(wallMs < 58_000); // the time limit is 60 s
    });
  }
});

test("a run over its time limit is deadline_exceeded and its running command is ended", async () => {
  const script = [toolUse("Bash", { command: "echo $$ > ../tmp/pid; sleep 300" })];
  let pid = 0;
  // The limit counts from the beginning of the phase: on a slow machine the command may not have begun by then.
  for (let limit = 5; pid === 0 && limit < 100; limit *= 3) {
    await play(script, { brief: briefWith({ time_limit_seconds: limit }) }, async ({ outcome, workspace }) => {
      assert.equal(outcome?.code, "deadline_exceeded");
      if (!workspace.exists("tmp/pid")) return;
      pid = Number(workspace.read("tmp/pid"));
      assert.match(outcome.logs ?? "", /→ Bash/);
      await eventually("the command has ended", () => processInfo(pid) === null);
    });
  }
  assert.ok(pid > 0, "the command has begun");
});

test("SIGTERM ends the CLI and leaves an outcome `stopped`", async () => {
  let signal = (): void => {};
  const script: Script = () => {
    signal();
    return toolUse("Bash", { command: "sleep 300" });
  };
  const onStart: NonNullable<PhaseOptions["onStart"]> = (child) => (signal = () => void child.kill("SIGTERM"));
  await play(script, { onStart }, ({ outcome, exitCode, wallMs }) => {
    assert.equal(exitCode, EXIT.ok);
    assert.equal(outcome?.code, "stopped");
    assert.ok(wallMs < 58_000);
  });
});

test("a CLI that is killed is agent_error, whatever it said before", async () => {
  // The command's shell is a child of the CLI.
  const script = [toolUse("Bash", { command: "kill -9 $PPID; sleep 1" })];
  await play(script, {}, ({ outcome }) => {
    assert.equal(outcome?.code, "agent_error");
    assert.match(outcome.error ?? "", /SIGKILL/);
  });
});

test("the login's secret is masked in transcript, log and outcome when the agent prints it", async () => {
  const leak = `tr '\\0' '\\n' < /proc/$PPID/environ | grep OAUTH; echo ${TOKEN}; echo -n "x:${TOKEN}" | base64 -w0`;
  const script: Script = [toolUse("Bash", { command: leak }), text(`The token is ${TOKEN}`)];
  await play(script, {}, ({ outcome, stream, log, workspace }) => {
    assert.equal(outcome?.summary, "The token is [masked]");
    const encoded = Buffer.from(TOKEN).toString("base64").slice(4, -8);
    for (const where of [stream, log, workspace.read("outcome.json")]) {
      assert.ok(!where.includes(TOKEN));
      assert.ok(!where.includes(encoded));
    }
    assert.match(stream, /CLAUDE_CODE_OAUTH_TOKEN=\[masked\]/);
  });
});

test("a login directory is used without a token variable, is left unchanged, and is gone from HOME at the end", async () => {
  const login = {
    accessToken: "access-token-0123456789",
    refreshToken: "refresh-token-0123456789",
    expiresAt: Date.now() + 3_600_000,
    scopes: ["user:inference", "user:profile"],
    subscriptionType: "max",
  };
  const stored = JSON.stringify({ claudeAiOauth: login, mcpOAuth: { other: { accessToken: "someone-else" } } });
  const prepare = (workspace: Workspace): PhaseOptions => {
    workspace.write("claude/.credentials.json", stored, 0o600);
    workspace.write("claude/settings.json", JSON.stringify({ apiKeyHelper: "echo sk-ant-api-evil" }));
    return { environment: { CLAUDE_CODE_OAUTH_TOKEN: undefined, MYZEL_CLAUDE_DIR: `${workspace.path}/claude` } };
  };
  const look = toolUse("Bash", { command: "cat $HOME/.claude/.credentials.json; ls -A $HOME/.claude" });
  await play([look, text("ok")], { prepare }, ({ outcome, stream, model, workspace }) => {
    assert.ok(outcome?.success, outcome?.error ?? "");
    assert.equal(model.requests[0]?.headers["authorization"], `Bearer ${login.accessToken}`);
    assert.ok(!stream.includes(login.accessToken) && !stream.includes(login.refreshToken));
    assert.doesNotMatch(stream, /someone-else|settings\.json/);
    assert.equal(workspace.read("claude/.credentials.json"), stored);
    assert.equal(workspace.exists("home/.claude/.credentials.json"), false);
  });
});

test("a login that was renewed in the run's HOME is masked from then on", async () => {
  const renew = `T=renewed; F=$HOME/.claude/.credentials.json; mkdir -p $HOME/.claude
    echo '{"claudeAiOauth":{"accessToken":"'$T'-token-0123456789"}}' > $F; sleep 1; cat $F`;
  await play([toolUse("Bash", { command: renew }), text("ok")], {}, ({ outcome, stream, log }) => {
    assert.ok(outcome?.success);
    assert.match(stream, /accessToken[^,]*\[masked\]/);
    assert.ok(![stream, log].some((where) => where.includes("renewed-token-0123456789")));
  });
});

test("the agent gets no variable of the phase but those of the allow-list", async () => {
  const script = [toolUse("Bash", { command: "env" }), text("ok")];
  const environment = { MYZEL_RUN_TOKEN: "run-token-secret", PGPASSWORD: "pg-secret", FOO: "bar" };
  await play(script, { environment }, ({ stream, outcome }) => {
    assert.ok(outcome?.success);
    assert.doesNotMatch(stream, /run-token-secret|pg-secret|FOO=bar|MYZEL_WORKSPACE/);
    assert.match(stream, /CLAUDE_CODE_MAX_RETRIES=0/);
  });
});

test("hooks of the repository stay without effect on the agent's commits unless the profile lets them", async () => {
  const prepare = (workspace: Workspace): void => {
    workspace.write("repo/.git/hooks/pre-commit", "#!/bin/sh\ntouch ../hook-ran\n", 0o755);
  };
  for (const run_commit_hooks of [false, true]) {
    await play([commit, text("ok")], { brief: briefWith({ run_commit_hooks }), prepare }, ({ workspace, outcome }) => {
      assert.ok(outcome?.success);
      assert.equal(workspace.exists("hook-ran"), run_commit_hooks);
    });
  }
});

test("an agent that deletes .git and itself leaves processes behind still ends in an outcome", async () => {
  const command = "rm -rf .git; setsid sleep 300 >/dev/null 2>&1 & echo $! > ../tmp/pid";
  await play([toolUse("Bash", { command }), text("ok")], {}, ({ outcome, wallMs, workspace }) => {
    assert.ok(outcome?.success);
    assert.ok(wallMs < 58_000);
    const pid = Number(workspace.read("tmp/pid"));
    if (processInfo(pid) !== null) process.kill(pid, "SIGKILL");
  });
});

test("where the commit of an earlier attempt is on the remote, nothing is done", async () => {
  const prepare = (workspace: Workspace): void => {
    workspace.write("checkout.json", JSON.stringify({ already_published: true }));
  };
  await play([text("never")], { prepare }, ({ exitCode, outcome, model }) => {
    assert.equal(exitCode, EXIT.ok);
    assert.equal(outcome, null);
    assert.equal(model.requests.length, 0);
  });
});
