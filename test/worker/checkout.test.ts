import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { Brief } from "../../worker-image/contract.ts";
import { bareRemote, type BareRemote, gitAsSomebody } from "../support/git-remotes.ts";
import { type PodRun, podRun, type PodTask } from "../support/pod-run.ts";

let remote: BareRemote;
let pods: PodRun[] = [];
beforeEach(() => (remote = bareRemote()));
afterEach(async () => {
  for (const pod of pods) await pod.close();
  pods = [];
  remote.remove();
});

async function podFor(task: PodTask): Promise<PodRun> {
  const pod = await podRun(task);
  pods.push(pod);
  return pod;
}

/** Checks out and demands that it went well. */
async function checkedOut(task: PodTask, environment: Record<string, string> = {}): Promise<PodRun> {
  const pod = await podFor(task);
  assert.deepEqual(await pod.phase("checkout", environment), { exitCode: 0, stderr: "", message: null });
  return pod;
}

/** Checks out and demands `checkout_failed`; returns the sentence. */
async function refused(task: PodTask, environment: Record<string, string> = {}): Promise<string> {
  const pod = await podFor(task);
  const end = await pod.phase("checkout", environment);
  const { report } = await pod.stored();
  assert.equal(end.exitCode, 20, end.stderr);
  assert.deepEqual([report?.success, report?.code, report?.error], [false, "checkout_failed", end.message]);
  return end.message ?? "";
}

test("without a branch, work starts on myzel/<task id> from the default branch, in a whole clone", async () => {
  remote.commit("main", { "a.txt": "a" });
  const pod = await checkedOut({ repo_url: remote.url });
  const branch = `myzel/${pod.taskId}`;
  assert.deepEqual(pod.record(), { already_published: false, branch, start_sha: remote.head("main") });
  assert.equal(pod.git("symbolic-ref", "--short", "HEAD"), branch);
  assert.equal(pod.git("status", "--porcelain"), "");
  assert.equal(pod.git("rev-list", "--count", "HEAD"), "2");
  assert.deepEqual(readdirSync(pod.workspace).toSorted(), [
    "brief.json",
    "checkout.json",
    "home",
    "outbox",
    "repo",
    "tmp",
  ]);
});

test("a branch that is on the remote is gone on with", async () => {
  const sha = remote.commit("feature", { "f.txt": "f" });
  const pod = await checkedOut({ repo_url: remote.url, branch: "feature" });
  assert.equal(pod.record().start_sha, sha);
  assert.equal(pod.git("rev-parse", "HEAD"), sha);
});

test("a new branch starts from the base branch; a missing base branch is refused with a sentence", async () => {
  const sha = remote.commit("develop", { "d.txt": "d" });
  const pod = await checkedOut({ repo_url: remote.url, branch: "feature", base_branch: "develop" });
  assert.equal(pod.record().start_sha, sha);
  const sentence = await refused({ repo_url: remote.url, branch: "feature", base_branch: "nowhere" });
  assert.equal(sentence, 'The base branch "nowhere" is not on the remote.');
});

test("the default branch is refused unless the profile allows it", async () => {
  assert.match(await refused({ repo_url: remote.url, branch: "main" }), /"main" is the default branch/);
  const pod = await checkedOut({ repo_url: remote.url, branch: "main", profile: { may_push_default_branch: true } });
  assert.equal(pod.record().start_sha, remote.head("main"));
});

test("an empty remote gives an empty repository on the task's branch", async () => {
  const empty = bareRemote({ empty: true });
  try {
    const pod = await checkedOut({ repo_url: empty.url, branch: "start" });
    assert.deepEqual(pod.record(), { already_published: false, branch: "start", start_sha: null });
    assert.equal(pod.git("symbolic-ref", "HEAD"), "refs/heads/start");
    assert.match(await refused({ repo_url: empty.url, branch: "main" }), /default branch/);
  } finally {
    empty.remove();
  }
});

test("without a repository the agent gets an empty directory", async () => {
  const pod = await checkedOut({});
  assert.deepEqual(readdirSync(pod.repo), []);
  assert.deepEqual(pod.record(), { already_published: false, branch: null, start_sha: null });
});

test("brief.json is the brief and holds no secret", async () => {
  const pod = await checkedOut({ repo_url: remote.url }, { MYZEL_GIT_PASSWORD: "very-secret-password" });
  const text = readFileSync(join(pod.workspace, "brief.json"), "utf8");
  const brief = JSON.parse(text) as Brief;
  assert.deepEqual([brief.run_id, brief.task_id, brief.prompt], [pod.runId, pod.taskId, "Do it."]);
  for (const secret of [
    pod.token,
    "very-secret-password",
    new URL(pod.environment["MYZEL_DATABASE_URL"] ?? "").password,
  ]) {
    assert.ok(!text.includes(secret));
  }
});

test("the clone knows no remote, no login and no hook, and keeps the remote's branches to compare with", async () => {
  remote.commit("other", { "o.txt": "o" });
  const pod = await checkedOut({ repo_url: remote.url }, { MYZEL_GIT_PASSWORD: "very-secret-password" });
  assert.equal(pod.git("remote"), "");
  assert.doesNotMatch(pod.git("config", "--local", "--list"), /remote|branch|credential|url|secret/);
  assert.equal(existsSync(join(pod.repo, ".git", "hooks")), false);
  assert.equal(pod.git("rev-parse", "origin/other"), remote.head("other"));
});

test("a shallow clone of so many commits is made where that is set, of whichever branch", async () => {
  for (const name of ["1", "2", "3"]) remote.commit("feature", { [name]: name });
  const pod = await checkedOut({ repo_url: remote.url, branch: "feature" }, { MYZEL_CLONE_DEPTH: "2" });
  assert.equal(pod.git("rev-list", "--count", "HEAD"), "2");
  assert.equal(pod.record().start_sha, remote.head("feature"));
});

test("a mirror lends its objects while cloning, and the clone stands without it", async () => {
  const mirror = join(remote.path, "..", "mirror.git");
  gitAsSomebody("/", "clone", "--quiet", "--mirror", remote.path, mirror);
  const pod = await checkedOut({ repo_url: remote.url }, { MYZEL_REPO_MIRROR: mirror });
  assert.equal(existsSync(join(pod.repo, ".git", "objects", "info", "alternates")), false);
  assert.equal(pod.git("fsck", "--no-progress"), "");
  await checkedOut({ repo_url: remote.url }, { MYZEL_REPO_MIRROR: "/nowhere/mirror.git" });
});

test("hooks and settings of the user who runs the phase take no part", async () => {
  const home = join(remote.path, "..", "home");
  mkdirSync(home);
  writeFileSync(
    join(home, ".gitconfig"),
    `[url "file:///nowhere"]\n\tinsteadOf = ${remote.url}\n[core]\n\thooksPath = ${home}\n`,
  );
  writeFileSync(join(home, "post-checkout"), `#!/bin/sh\ntouch ${home}/ran\n`, { mode: 0o755 });
  await checkedOut(
    { repo_url: remote.url },
    { HOME: home, GIT_TEMPLATE_DIR: home, GIT_CONFIG_GLOBAL: join(home, ".gitconfig") },
  );
  assert.equal(existsSync(join(home, "ran")), false);
});

test("a launcher's relay address takes the place of the repository's", async () => {
  const elsewhere = bareRemote();
  try {
    elsewhere.commit("main", { "elsewhere.txt": "" });
    const pod = await checkedOut({ repo_url: remote.url }, { MYZEL_GIT_INSTEAD_OF: `${remote.url}=${elsewhere.url}` });
    assert.equal(pod.record().start_sha, elsewhere.head("main"));
  } finally {
    elsewhere.remove();
  }
});

test("a repeated checkout lays out a fresh workspace, whatever lay there", async () => {
  const pod = await checkedOut({ repo_url: remote.url });
  pod.write({ "README.md": "changed", "left/behind": "" });
  pod.outcome();
  assert.equal((await pod.phase("checkout")).exitCode, 0);
  assert.equal(pod.git("status", "--porcelain"), "");
  assert.equal(existsSync(join(pod.workspace, "outcome.json")), false);
});

test("a branch beside which git cannot keep the new one is named", async () => {
  remote.commit("feature", { f: "f" });
  assert.match(await refused({ repo_url: remote.url, branch: "feature/more" }), /beside the branch "feature"/);
});

test("submodules are not fetched, and their place stays empty", async () => {
  const inner = bareRemote();
  try {
    const clone = join(remote.path, "..", "somebody");
    gitAsSomebody(clone, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner.url, "inner");
    remote.commit("main", {});
    const pod = await checkedOut({ repo_url: remote.url });
    assert.deepEqual(readdirSync(join(pod.repo, "inner")), []);
    assert.equal(pod.git("status", "--porcelain"), "");
  } finally {
    inner.remove();
  }
});
