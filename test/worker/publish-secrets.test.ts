import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { Report } from "../../worker-image/contract.ts";
import { bareRemote, type BareRemote } from "../support/git-remotes.ts";
import { type PodRun, podRun } from "../support/pod-run.ts";

const CLAUDE_TOKEN = "sk-ant-oat01-a/b+c_d-0123456789";
const GIT_PASSWORD = "ghp_0123456789/abcdef+xyz";
const NPM_TOKEN = "npm_0123456789/abcdef+xyz";

let remote: BareRemote;
let pod: PodRun;
beforeEach(async () => {
  remote = bareRemote();
  pod = await podRun({ repo_url: remote.url, profile: { may_create_tasks: true } });
  assert.equal((await pod.phase("checkout")).exitCode, 0);
  pod.outcome();
  pod.environment["CLAUDE_CODE_OAUTH_TOKEN"] = CLAUDE_TOKEN;
  pod.environment["MYZEL_GIT_PASSWORD"] = GIT_PASSWORD;
  pod.environment["MYZEL_SECRET_NPM_TOKEN"] = NPM_TOKEN;
});
afterEach(async () => {
  await pod.close();
  remote.remove();
});

function commit(files: Record<string, string | Buffer>, message = "Work"): void {
  pod.write(files);
  pod.git("add", "--all");
  pod.git("commit", "--quiet", "--allow-empty", "--message", message);
}

async function report(): Promise<Report> {
  await pod.db.pool.query("update runs set report = null");
  const end = await pod.phase("publish");
  assert.equal(end.exitCode, 0, end.stderr);
  const stored = await pod.stored();
  assert.ok(stored.report);
  for (const secret of [CLAUDE_TOKEN, GIT_PASSWORD, NPM_TOKEN, pod.token]) {
    assert.ok(!JSON.stringify(stored).includes(secret));
  }
  return stored.report;
}

async function leaked(name: string): Promise<void> {
  const { success, code, error, commit_sha } = await report();
  const sentence = `A new commit contains ${name}; nothing was pushed. Replace that secret.`;
  assert.deepEqual([success, code, error, commit_sha], [false, "secret_leaked", sentence, null]);
  assert.deepEqual(remote.branches(), ["refs/heads/main"]);
  assert.equal((await pod.stored()).announced, null);
  pod.git("reset", "--quiet", "--hard", "origin/main");
  pod.git("clean", "-fdxq");
}

test("each of the run's secrets is found in a committed file", async () => {
  const password = new URL(pod.environment["MYZEL_DATABASE_URL"] ?? "").password;
  const login = join(pod.directory, "claude");
  mkdirSync(login);
  const refreshToken = "sk-ant-ort01-refresh-0123456789";
  writeFileSync(join(login, ".credentials.json"), JSON.stringify({ claudeAiOauth: { refreshToken } }));
  pod.environment["MYZEL_CLAUDE_DIR"] = login;
  pod.environment["MYZEL_SECRET_KEY"] = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\n-----END KEY-----";
  const secrets: [string, string][] = [
    [GIT_PASSWORD, "the git password"],
    [pod.token, "the run's token"],
    [password, "the database password"],
    [CLAUDE_TOKEN, "the Claude login"],
    [refreshToken, "the Claude login"],
    [NPM_TOKEN, "the secret NPM_TOKEN"],
    ["MIIEvQIBADANBgkqhkiG9w0BAQEF", "the secret KEY"],
  ];
  for (const [secret, name] of secrets) {
    commit({ "notes.txt": `before ${secret} after\n` });
    await leaked(name);
  }
});

test("a secret is found in base64, URL-encoded, in a message, in a file's name and in a binary file", async () => {
  const name = "the Claude login";
  commit({ a: Buffer.from(`user:${CLAUDE_TOKEN}`).toString("base64") });
  await leaked(name);
  commit({ a: `https://host/?t=${encodeURIComponent(CLAUDE_TOKEN)}` });
  await leaked(name);
  commit({}, `Use ${CLAUDE_TOKEN}`);
  await leaked(name);
  commit({ [`dir/${CLAUDE_TOKEN}/x`]: "" });
  await leaked(name);
  commit({ b: Buffer.concat([Buffer.alloc(200_000, 1), Buffer.from(CLAUDE_TOKEN), Buffer.alloc(10)]) });
  await leaked(name);
});

test("a secret in a new commit that a later one removes is found", async () => {
  commit({ "notes.txt": CLAUDE_TOKEN });
  rmSync(join(pod.repo, "notes.txt"));
  commit({});
  await leaked("the Claude login");
});

test("a secret in what was left uncommitted, also as a link's target, is found", async () => {
  pod.write({ "left.txt": CLAUDE_TOKEN });
  await leaked("the Claude login");
  symlinkSync(`/tmp/${pod.token}`, join(pod.repo, "link"));
  await leaked("the run's token");
});

test("a secret wherever it lies in a large file is found, across the chunks in which it is read", async () => {
  for (const offset of [65_536 - 10, 65_536 * 3 - 40, 131_072 - 1]) {
    commit({ big: Buffer.concat([Buffer.alloc(offset, "x"), Buffer.from(CLAUDE_TOKEN), Buffer.alloc(300_000, "y")]) });
    await leaked("the Claude login");
  }
});

test("what is on the remote already is not held against the agent", async () => {
  remote.commit("main", { "old.txt": CLAUDE_TOKEN });
  const again = await podRun({ repo_url: remote.url });
  try {
    assert.equal((await again.phase("checkout")).exitCode, 0);
    again.write({ "new.txt": "" });
    again.outcome();
    assert.equal((await again.phase("publish", { CLAUDE_CODE_OAUTH_TOKEN: CLAUDE_TOKEN })).exitCode, 0);
    assert.equal((await again.stored()).report?.success, true);
  } finally {
    await again.close();
  }
});

test("secrets are masked in the outcome, the outbox, the file names and the transcript", async () => {
  pod.outcome({
    success: false,
    code: "agent_error",
    error: `It said ${CLAUDE_TOKEN}`,
    logs: `${GIT_PASSWORD} ${NPM_TOKEN}`,
    summary: pod.token,
  });
  writeFileSync(join(pod.workspace, "outbox", "0001.json"), JSON.stringify({ prompt: `Use ${CLAUDE_TOKEN}` }));
  writeFileSync(
    join(pod.workspace, "stream.jsonl"),
    `${JSON.stringify({ text: pod.token, other: GIT_PASSWORD, npm: NPM_TOKEN })}\n`,
  );
  const { error, logs, summary, tasks } = await report();
  assert.deepEqual(
    [error, logs, summary, tasks[0]?.prompt],
    ["It said [masked]", "[masked] [masked]", "[masked]", "Use [masked]"],
  );
  assert.equal((await pod.stored()).transcript, '{"text":"[masked]","other":"[masked]","npm":"[masked]"}\n');
});

test("a remote's hook sees none of the run's secrets", async () => {
  mkdirSync(join(remote.path, "hooks"), { recursive: true });
  const seen = join(pod.directory, "seen");
  writeFileSync(join(remote.path, "hooks", "pre-receive"), `#!/bin/sh\nenv > ${seen}\n`, { mode: 0o755 });
  commit({ "work.txt": "" });
  assert.equal((await report()).success, true);
  assert.doesNotMatch(readFileSync(seen, "utf8"), /MYZEL|CLAUDE|ghp_|npm_|postgres/);
});
