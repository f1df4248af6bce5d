/** The agent phase against programs that misbehave: a stand-in for the CLI in the place of the real one. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { processInfo } from "../../engine/launch/process/proc.ts";
import type { BriefProfile } from "../../worker-image/contract.ts";
import { EXIT } from "../../worker-image/contract.ts";
import {
  type PhaseOptions,
  type PhaseRun,
  TOKEN,
  type Workspace,
  briefWith,
  makeWorkspace,
  runPhase,
} from "../support/agent-phase.ts";
import { eventually } from "../support/waiting.ts";

const INIT = `echo '{"type":"system","subtype":"init","session_id":"s-1","model":"m","apiKeySource":"none"}'`;
const RESULT = `echo '{"type":"result","subtype":"success","is_error":false,"result":"Done.","num_turns":1,"total_cost_usd":0,"modelUsage":{}}'`;

/** Runs the phase with a shell script as its CLI. */
async function standIn(
  script: string,
  profile: Partial<BriefProfile>,
  look: (run: PhaseRun & { workspace: Workspace }) => void | Promise<void>,
  options: PhaseOptions = {},
): Promise<void> {
  const workspace = makeWorkspace();
  try {
    const path = workspace.write("claude", `#!/bin/sh\n${script}\n`, 0o755);
    const environment = { MYZEL_CLAUDE_PATH: path, ...options.environment };
    const run = await runPhase(workspace, { brief: briefWith(profile), ...options, environment });
    await look({ ...run, workspace });
  } finally {
    workspace.remove();
  }
}

test("a CLI that prints nothing is hung after the limit on its first output", async () => {
  await standIn("sleep 300", { first_output_seconds: 1 }, ({ outcome, exitCode }) => {
    assert.equal(exitCode, EXIT.ok);
    assert.equal(outcome?.code, "hung");
    assert.match(outcome.error ?? "", /first 1 seconds/);
  });
});

test("a CLI that ignores SIGTERM and its children are killed", async () => {
  const script = `trap '' TERM\n${INIT}\nsh -c 'trap "" TERM; echo $$ > ../tmp/child; while :; do sleep 1; done' &\nwhile :; do sleep 1; done`;
  await standIn(script, { silence_seconds: 1 }, async ({ outcome, workspace, wallMs }) => {
    assert.equal(outcome?.code, "hung");
    assert.ok(wallMs < 58_000); // the time limit is 60 s
    const child = Number(workspace.read("tmp/child"));
    await eventually("its child has ended", () => processInfo(child) === null);
  });
});

test("a CLI that stays after its final message is ended after the grace time, and its success counts", async () => {
  await standIn(
    `${INIT}\n${RESULT}\nsleep 300`,
    { silence_seconds: 2, time_limit_seconds: 100 },
    ({ outcome, wallMs }) => {
      assert.ok(outcome?.success);
      assert.equal(outcome.summary, "Done.");
      assert.ok(wallMs > 9_500 && wallMs < 98_000, String(wallMs));
    },
  );
});

test("of several final messages the last counts", async () => {
  const failure = `echo '{"type":"result","subtype":"error_max_turns","is_error":true,"errors":["Reached x"],"num_turns":2}'`;
  await standIn([INIT, RESULT, INIT, failure, "exit 1"].join("\n"), {}, ({ outcome }) => {
    assert.equal(outcome?.code, "max_turns");
  });
  await standIn([INIT, failure, INIT, RESULT].join("\n"), {}, ({ outcome }) => assert.ok(outcome?.success));
});

test("a child in a session of its own that holds the pipes open does not keep the phase", async () => {
  await standIn(
    `${INIT}\nsetsid sh -c 'echo $$ > ../tmp/child; exec sleep 300' &\nwhile ! [ -s ../tmp/child ]; do sleep 0.05; done\n${RESULT}`,
    {},
    ({ outcome, wallMs, workspace }) => {
      assert.ok(outcome?.success);
      assert.ok(wallMs < 58_000, String(wallMs));
      endQuietly(Number(workspace.read("tmp/child")));
    },
  );
});

test("100 MB of output, on one line or on many, breaks neither the verdict nor the bounds", async () => {
  const oneLine = "head -c 100000000 /dev/zero | tr '\\0' x; echo";
  const manyLines = "yes 'some line of plain text that goes on and on' | head -c 100000000; echo";
  for (const flood of [oneLine, manyLines]) {
    await standIn(`${INIT}\n${flood}\n${RESULT}`, {}, ({ outcome, stream, log }) => {
      assert.ok(outcome?.success, outcome?.error ?? "");
      assert.ok(stream.length <= 17 * 2 ** 20);
      assert.ok(log.length <= 5 * 2 ** 20);
      assert.match(stream, /"subtype":"init"/);
      assert.match(stream, /"result":"Done\."/);
      for (const line of stream.split("\n")) assert.ok(line.length <= 256 * 2 ** 10);
    });
  }
});

test("a flood of 100 MB on standard error is bounded as well", async () => {
  const flood = "head -c 100000000 /dev/zero | tr '\\0' x >&2; yes error | head -c 10000000 >&2";
  await standIn(`${INIT}\n${flood}\nexit 3`, {}, ({ outcome, log }) => {
    assert.equal(outcome?.code, "agent_error");
    assert.match(outcome.error ?? "", /exit code 3\): er/);
    assert.ok(log.length <= 5 * 2 ** 20);
  });
});

test("a secret that a line of plain text holds is masked too", async () => {
  await standIn(`${INIT}\necho "token ${TOKEN}"\necho "${TOKEN}" >&2\nexit 1`, {}, ({ outcome, stream, log }) => {
    assert.match(stream, /token \[masked\]/);
    assert.ok(![stream, log, JSON.stringify(outcome)].some((text) => text.includes(TOKEN)));
  });
});

test("a billing source that shows in the stream ends the run at once as cost_guard", async () => {
  const key = `echo '{"type":"system","subtype":"init","apiKeySource":"ANTHROPIC_API_KEY"}'`;
  const overage = `echo '{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","isUsingOverage":true}}'`;
  for (const [script, sentence] of [
    [`${key}\nsleep 300`, /ANTHROPIC_API_KEY/],
    [`${INIT}\n${overage}\nsleep 300`, /paid extra usage/],
  ] as const) {
    await standIn(script, {}, ({ outcome, exitCode, wallMs }) => {
      assert.equal(exitCode, EXIT.ok);
      assert.equal(outcome?.code, "cost_guard");
      assert.match(outcome.error ?? "", sentence);
      assert.ok(wallMs < 58_000);
    });
  }
});

test("a CLI that is not there, or refuses its arguments, is agent_error with a sentence", async () => {
  const environment = { MYZEL_CLAUDE_PATH: "/nonexistent/claude" };
  await standIn(
    "",
    {},
    ({ outcome }) => {
      assert.equal(outcome?.code, "agent_error");
      assert.match(outcome.error ?? "", /could not be started: \/nonexistent\/claude was not found/);
    },
    { environment },
  );
  await standIn("echo 'Error: bad flag' >&2; exit 1", {}, ({ outcome }) => {
    assert.match(outcome?.error ?? "", /without a result \(exit code 1\): Error: bad flag/);
  });
});

test("a disk that the agent has filled still leaves an outcome", async (context) => {
  const workspace = makeWorkspace();
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=8m,mode=0777", "tmpfs", workspace.path]).status === 0;
  try {
    if (!mounted) return context.skip("a small disk can be mounted by root only");
    for (const name of ["repo", "home", "tmp"]) workspace.write(`${name}/.keep`, "");
    const path = workspace.write("claude", `#!/bin/sh\n${INIT}\ncat /dev/zero > ../repo/big\n${RESULT}\n`, 0o755);
    const run = await runPhase(workspace, { environment: { MYZEL_CLAUDE_PATH: path } });
    assert.equal(run.exitCode, EXIT.ok, run.log);
    assert.ok(run.outcome?.success, run.outcome?.error ?? "");
  } finally {
    if (mounted) spawnSync("umount", ["--lazy", workspace.path]);
    workspace.remove();
  }
});

function endQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}
