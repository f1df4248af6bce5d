import assert from "node:assert/strict";
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { Report } from "../../worker-image/contract.ts";
import { bareRemote, type BareRemote, httpRemote, sshProblem, sshRemote } from "../support/git-remotes.ts";
import { asPod, type PodRun, podRun, type PodTask, SUCCESS } from "../support/pod-run.ts";

let remote: BareRemote;
let closing: (() => Promise<void> | void)[] = [];
beforeEach(() => {
  remote = bareRemote();
  closing = [remote.remove];
});
afterEach(async () => {
  for (const close of closing.toReversed()) await close();
});

/** A run whose checkout is done. */
async function checkedOut(task: PodTask = {}, environment: Record<string, string> = {}): Promise<PodRun> {
  const pod = await podRun({ repo_url: remote.url, ...task });
  closing.push(pod.close);
  Object.assign(pod.environment, environment);
  const end = await pod.phase("checkout");
  assert.equal(end.exitCode, 0, end.stderr);
  return pod;
}

function commit(pod: PodRun, files: Record<string, string>, message = "Work"): string {
  pod.write(files);
  pod.git("add", "--all");
  pod.git("commit", "--quiet", "--message", message);
  return pod.git("rev-parse", "HEAD");
}

/** Publishes and returns the final report. */
async function published(pod: PodRun): Promise<Report> {
  const end = await pod.phase("publish");
  assert.deepEqual([end.exitCode, end.stderr], [0, ""]);
  const { report } = await pod.stored();
  assert.ok(report);
  return report;
}

async function rejected(pod: PodRun, code: string): Promise<string> {
  const before = remote.branches().map((name) => [name, remote.git("rev-parse", name)]);
  const report = await published(pod);
  assert.deepEqual(
    [report.success, report.code, report.commit_sha, report.branch],
    [false, code, null, null],
    report.error ?? "",
  );
  assert.deepEqual(
    remote.branches().map((name) => [name, remote.git("rev-parse", name)]),
    before,
    "nothing was pushed",
  );
  return report.error ?? "";
}

test("the agent's commits are announced, pushed to the new branch, and reported with the outcome", async () => {
  const pod = await checkedOut();
  commit(pod, { "src/a.txt": "a" });
  const head = commit(pod, { "b.txt": "b", "README.md": "changed" });
  pod.outcome();
  const report = await published(pod);
  const branch = `myzel/${pod.taskId}`;
  const expected = {
    branch,
    commit_sha: head,
    files_changed: ["README.md", "b.txt", "src/a.txt"],
    pull_request_url: null,
    tasks: [],
    finish_epic: null,
    work_kept: false,
  };
  assert.deepEqual(report, { ...SUCCESS, ...expected });
  assert.equal(remote.head(branch), head);
  assert.deepEqual(remote.branches(), ["refs/heads/main", `refs/heads/${branch}`]);
  assert.deepEqual((await pod.stored()).announced, report);
});

test("an existing branch is gone on with, and its files are compared with where it stood", async () => {
  remote.commit("feature", { "early.txt": "" });
  const pod = await checkedOut({ branch: "feature" });
  const head = commit(pod, { "late.txt": "" });
  pod.outcome();
  assert.deepEqual((await published(pod)).files_changed, ["late.txt"]);
  assert.equal(remote.head("feature"), head);
});

test("what is left uncommitted is committed in the agent's name: new, changed and deleted files, not ignored ones", async () => {
  remote.commit("main", { ".gitignore": "ignored/\n", "old.txt": "", "changed.txt": "1", "tool.sh": "#!/bin/sh\n" });
  const pod = await checkedOut({ addressee: "worker-7" });
  const first = commit(pod, { "committed.txt": "" });
  pod.write({ "changed.txt": "2", "new/ä b.txt": "new", "ignored/x": "", "a\nb": "" });
  rmSync(join(pod.repo, "old.txt"));
  chmodSync(join(pod.repo, "tool.sh"), 0o755);
  symlinkSync("/etc/passwd", join(pod.repo, "link"));
  pod.outcome();
  const report = await published(pod);
  const branch = report.branch ?? "";
  assert.equal(remote.git("rev-parse", `${branch}^`), first);
  assert.equal(
    remote.git("show", "--no-patch", "--format=%B%an <%ae>%n%cn", branch),
    `Keep what the agent left uncommitted\n\nMyzel-Task: ${pod.taskId}\nMyzel agent worker-7 <agent@myzel.invalid>\nMyzel agent worker-7`,
  );
  assert.deepEqual(report.files_changed, [
    "a\nb",
    "changed.txt",
    "committed.txt",
    "link",
    "new/ä b.txt",
    "old.txt",
    "tool.sh",
  ]);
  const modes = remote
    .git("ls-tree", branch, "link", "tool.sh")
    .split("\n")
    .map((line) => line.split(" ")[0]);
  assert.deepEqual(modes, ["120000", "100755"]);
  assert.equal(remote.file(branch, "link"), "/etc/passwd");
});

test("a success without changes pushes nothing and has no commit", async () => {
  const pod = await checkedOut();
  pod.outcome();
  const report = await published(pod);
  assert.deepEqual(
    [report.success, report.branch, report.commit_sha, report.files_changed],
    [true, `myzel/${pod.taskId}`, null, []],
  );
  assert.deepEqual(remote.branches(), ["refs/heads/main"]);
  assert.equal((await pod.stored()).announced, null);
});

test("a success without changes stays one when the branch moved meanwhile", async () => {
  remote.commit("feature", { a: "" });
  const pod = await checkedOut({ branch: "feature" });
  const moved = remote.commit("feature", { b: "" });
  pod.outcome();
  const report = await published(pod);
  assert.deepEqual([report.success, report.commit_sha, remote.head("feature")], [true, null, moved]);
});

test("without a repository the report has no branch and no commit", async () => {
  const pod = await podRun({});
  closing.push(pod.close);
  assert.equal((await pod.phase("checkout")).exitCode, 0);
  pod.write({ "x.txt": "" });
  pod.outcome();
  const report = await published(pod);
  assert.deepEqual([report.success, report.branch, report.commit_sha, report.files_changed], [true, null, null, []]);
});

test("work from an empty remote becomes its first commit", async () => {
  const empty = bareRemote({ empty: true });
  closing.push(empty.remove);
  const pod = await checkedOut({ repo_url: empty.url, branch: "start" });
  pod.write({ "first.txt": "1" });
  pod.outcome();
  const report = await published(pod);
  assert.deepEqual([report.commit_sha, report.files_changed], [empty.head("start"), ["first.txt"]]);
  assert.equal(empty.git("rev-list", "--count", "start"), "1");
});

test("a branch that moved meanwhile is not overwritten", async () => {
  remote.commit("feature", { a: "" });
  const pod = await checkedOut({ branch: "feature" });
  commit(pod, { mine: "" });
  remote.commit("feature", { theirs: "" });
  pod.outcome();
  assert.match(await rejected(pod, "push_rejected"), /^The branch "feature" has moved on the remote meanwhile/);
});

test("a branch that somebody else made meanwhile is not overwritten", async () => {
  const pod = await checkedOut({ branch: "feature" });
  commit(pod, { mine: "" });
  remote.commit("feature", { theirs: "" });
  pod.outcome();
  assert.match(await rejected(pod, "push_rejected"), /has moved on the remote meanwhile/);
});

test("an agent that rewrote the branch's history is told so", async () => {
  remote.commit("feature", { a: "" });
  const pod = await checkedOut({ branch: "feature" });
  pod.write({ b: "" });
  pod.git("add", "b");
  pod.git("commit", "--quiet", "--amend", "--message", "Amended");
  pod.outcome();
  assert.match(await rejected(pod, "push_rejected"), /^The agent rewrote the history of "feature"/);
});

test("a remote whose hook declines is quoted", async () => {
  const hook = "#!/bin/sh\necho 'Commits need a ticket number.' >&2\nexit 1\n";
  mkdirSync(join(remote.path, "hooks"), { recursive: true });
  writeFileSync(join(remote.path, "hooks", "pre-receive"), hook, { mode: 0o755 });
  const pod = await checkedOut();
  commit(pod, { a: "" });
  pod.outcome();
  assert.equal(
    await rejected(pod, "push_rejected"),
    `The remote refused the push to "myzel/${pod.taskId}": pre-receive hook declined (Commits need a ticket number).`,
  );
});

test("the agent's HEAD counts, be it detached or on another branch", async () => {
  const pod = await checkedOut();
  pod.git("checkout", "--quiet", "-b", "mine");
  commit(pod, { a: "" });
  pod.git("checkout", "--quiet", "--detach");
  const head = commit(pod, { b: "" });
  pod.git("pack-refs", "--all");
  pod.outcome();
  const report = await published(pod);
  assert.deepEqual([report.commit_sha, remote.branches().length], [head, 2]);
});

test("a merge that is a fast-forward moves the branch, though no commit is new", async () => {
  const feature = remote.commit("feature", { f: "" });
  const pod = await checkedOut({ branch: "main", profile: { may_push_default_branch: true } });
  pod.git("merge", "--quiet", "--ff-only", "origin/feature");
  pod.outcome();
  const report = await published(pod);
  assert.deepEqual([report.commit_sha, report.files_changed, remote.head("main")], [feature, ["f"], feature]);
});

test("the default branch is not pushed though it became the default only after the checkout", async () => {
  remote.commit("feature", { a: "" });
  const pod = await checkedOut({ branch: "feature" });
  commit(pod, { b: "" });
  remote.git("symbolic-ref", "HEAD", "refs/heads/feature");
  pod.outcome();
  assert.match(await rejected(pod, "push_rejected"), /default branch/);
});

test("a failed run pushes nothing and keeps its own words", async () => {
  const pod = await checkedOut();
  commit(pod, { a: "" });
  pod.outcome({ success: false, code: "max_turns", error: "Too many turns.", logs: "the end" });
  assert.equal(await rejected(pod, "max_turns"), "Too many turns.");
  assert.equal((await pod.stored()).report?.logs, "the end");
});

test("failing checks are pushed only where the profile says so, and stay a failure", async () => {
  const failing = { success: false, code: "checks_failed", error: "The checks fail." } as const;
  const pod = await checkedOut();
  commit(pod, { a: "" });
  pod.outcome(failing);
  await rejected(pod, "checks_failed");
  const pushing = await checkedOut({ profile: { push_failing_work: true } });
  const head = commit(pushing, { a: "" });
  pushing.outcome(failing);
  const report = await published(pushing);
  assert.deepEqual([report.success, report.code, report.commit_sha], [false, "checks_failed", head]);
});

test("failing work that cannot be pushed stays what it was, and is kept", async () => {
  remote.commit("work", { "a.txt": "a" });
  const pod = await checkedOut({ branch: "work", profile: { push_failing_work: true } });
  commit(pod, { b: "" });
  remote.commit("work", { "a.txt": "theirs" });
  pod.outcome({ success: false, code: "checks_failed", error: "The checks fail." });
  assert.match(await rejected(pod, "checks_failed"), /^The checks fail\. Its work could not be pushed: .* has moved/);
  assert.equal((await pod.stored()).report?.work_kept, true);
});

test("a missing outcome and one that makes no sense are no_report", async () => {
  const pod = await checkedOut();
  commit(pod, { a: "" });
  await rejected(pod, "no_report");
  const forged = await checkedOut();
  commit(forged, { a: "" });
  forged.outcome({ cost_usd: -5 });
  await rejected(forged, "no_report");
});

test("a repeated publish finds its commit on the remote and makes no second one", async () => {
  const pod = await checkedOut();
  commit(pod, { a: "" });
  pod.write({ "left.txt": "" });
  pod.outcome();
  utimesSync(join(pod.workspace, "outcome.json"), 1_700_000_000, 1_700_000_000);
  const first = await published(pod);
  await pod.db.pool.query("update runs set report = null");
  assert.deepEqual(await published(pod), first);
  assert.equal(remote.git("rev-list", "--count", `main..${first.branch}`), "2");
});

test("what an earlier attempt pushed is neither lost nor done again because the remote is away for a moment", async () => {
  const pod = await checkedOut();
  commit(pod, { a: "" });
  pod.outcome();
  const report = await published(pod);
  await pod.db.pool.query("update runs set report = null");
  const second = await nextAttempt(pod);
  assert.equal((await second.phase("checkout")).exitCode, 0);
  renameSync(remote.path, `${remote.path}.away`);
  assert.equal((await second.phase("publish")).exitCode, 0);
  renameSync(`${remote.path}.away`, remote.path);
  const { report: lost } = await second.stored();
  assert.deepEqual([lost?.success, lost?.code, lost?.work_kept], [false, "lost", false]);
  assert.match(lost?.error ?? "", /^The agent was skipped.* was not found/);
  const third = await nextAttempt(second);
  assert.equal((await third.phase("checkout")).exitCode, 0);
  assert.deepEqual([third.record().already_published, await published(third)], [true, report]);
});

test("an attempt after a lost report finds the announced commit on the remote and skips the agent", async () => {
  const pod = await checkedOut();
  commit(pod, { a: "" });
  pod.outcome();
  const report = await published(pod);
  await pod.db.pool.query("update runs set report = null");

  const second = await nextAttempt(pod);
  assert.equal((await second.phase("checkout")).exitCode, 0);
  assert.deepEqual(second.record(), { already_published: true, branch: report.branch, start_sha: report.commit_sha });
  assert.deepEqual(await published(second), report);

  await pod.db.pool.query("update runs set report = null");
  const onTop = remote.commit(report.branch ?? "", { "on-top": "" });
  const third = await nextAttempt(second);
  assert.equal((await third.phase("checkout")).exitCode, 0);
  assert.equal(third.record().already_published, true, "somebody went on from it");
  assert.deepEqual(await published(third), report);
  assert.equal(remote.head(report.branch ?? ""), onTop);
});

test("an announced commit that never reached the remote is worked out anew", async () => {
  const pod = await checkedOut();
  commit(pod, { a: "" });
  pod.outcome();
  const report = await published(pod);
  remote.git("update-ref", "-d", `refs/heads/${report.branch}`);
  const second = await nextAttempt(pod);
  assert.equal((await second.phase("checkout")).exitCode, 0);
  assert.equal(second.record().already_published, false);
  const head = commit(second, { again: "" });
  second.outcome();
  assert.deepEqual([(await published(second)).commit_sha, remote.head(report.branch ?? "")], [head, head]);
});

/** The next attempt at the same task, as the engine makes it after an infrastructure failure. */
async function nextAttempt(pod: PodRun): Promise<PodRun> {
  await pod.db.settle(pod.taskId, { action: "requeue", success: false, failure_code: "lost", retry_after_seconds: 0 });
  await pod.db.claimAll();
  const next = await asPod(pod.db, pod.taskId);
  closing.push(() => rmSync(next.directory, { recursive: true, force: true }));
  return next;
}

test("the agent that deletes .git loses its commits' history, not its work", async () => {
  const pod = await checkedOut();
  commit(pod, { a: "a" });
  pod.write({ b: "b" });
  rmSync(join(pod.repo, ".git"), { recursive: true });
  pod.outcome();
  const report = await published(pod);
  assert.deepEqual(report.files_changed, ["a", "b"]);
  assert.equal(remote.git("rev-parse", `${report.branch}^`), remote.head("main"));
  assert.equal(remote.file(report.branch ?? "", "README.md"), "# Project\n");
});

test("without .git the work is put on the commit it started from, so that others' work is not undone", async () => {
  remote.commit("feature", { a: "1" });
  const pod = await checkedOut({ branch: "feature" });
  remote.commit("feature", { a: "2" });
  pod.write({ b: "b" });
  rmSync(join(pod.repo, ".git"), { recursive: true });
  pod.outcome();
  await rejected(pod, "push_rejected");
  assert.equal(remote.file("feature", "a"), "2");
});

test("a broken object store, an unborn HEAD and a .git that is a file each keep the work", async () => {
  const breaking: ((pod: PodRun) => void)[] = [
    (pod) => rmSync(join(pod.repo, ".git", "objects"), { recursive: true }),
    (pod) => pod.git("symbolic-ref", "HEAD", "refs/heads/unborn"),
    (pod) => {
      renameSync(join(pod.repo, ".git"), join(pod.workspace, "elsewhere"));
      writeFileSync(join(pod.repo, ".git"), `gitdir: ${join(pod.workspace, "elsewhere")}\n`);
    },
    (pod) => writeFileSync(join(pod.repo, ".git", "HEAD"), "garbage\n"),
  ];
  for (const breakIt of breaking) {
    const pod = await checkedOut();
    commit(pod, { a: "a" });
    breakIt(pod);
    pod.outcome();
    const report = await published(pod);
    assert.deepEqual([report.success, report.files_changed], [true, ["a"]], String(breakIt));
  }
});

test("a work tree that is gone pushes nothing", async () => {
  const pod = await checkedOut();
  rmSync(pod.repo, { recursive: true });
  pod.outcome();
  const end = await pod.phase("publish");
  assert.equal(end.exitCode, 0);
  assert.match(end.stderr, /^Nothing of the run's work is kept\./);
  const { report } = await pod.stored();
  assert.deepEqual([report?.code, report?.work_kept], ["push_rejected", false]);
  assert.match(report?.error ?? "", /removed its work tree/);
  assert.deepEqual(remote.branches(), ["refs/heads/main"]);
});

test("files that a sparse checkout left out are not deleted", async () => {
  remote.commit("main", { "one/a": "", "two/b": "" });
  const pod = await checkedOut();
  pod.git("sparse-checkout", "set", "one");
  pod.write({ "one/new": "" });
  pod.outcome();
  assert.deepEqual((await published(pod)).files_changed, ["one/new"]);
});

test("a shallow clone's work is published", async () => {
  for (const name of ["1", "2", "3"]) remote.commit("main", { [name]: name });
  for (const environment of [{ MYZEL_CLONE_DEPTH: "1" }, {}]) {
    const pod = await checkedOut({}, { MYZEL_CLONE_DEPTH: "1" });
    const head = commit(pod, { work: "" });
    pod.outcome();
    const end = await pod.phase("publish", { MYZEL_CLONE_DEPTH: "", ...environment });
    const { report } = await pod.stored();
    assert.deepEqual(
      [end.exitCode, report?.error, report?.commit_sha, report?.files_changed],
      [0, null, head, ["work"]],
    );
  }
});

test("over HTTP the push needs the login; one that is refused is said so", async () => {
  const login = { username: "somebody", password: "correct-horse-battery" };
  const http = await httpRemote(remote, login);
  closing.push(http.close);
  const right = { MYZEL_GIT_USERNAME: login.username, MYZEL_GIT_PASSWORD: login.password };
  const pod = await checkedOut({ repo_url: http.url }, right);
  const head = commit(pod, { a: "" });
  pod.outcome();
  pod.environment["MYZEL_GIT_PASSWORD"] = "wrong-password";
  assert.match(await rejected(pod, "push_rejected"), /^The login for http:\S+ was refused/);
  await pod.db.pool.query("update runs set report = null");
  pod.environment["MYZEL_GIT_PASSWORD"] = login.password;
  assert.equal((await published(pod)).commit_sha, head);
  assert.equal(remote.head(`myzel/${pod.taskId}`), head);
});

test("over SSH the push goes through", { skip: sshProblem() ?? false }, async () => {
  const ssh = await sshRemote(remote);
  closing.push(ssh.close);
  const pod = await checkedOut({ repo_url: ssh.url }, { GIT_SSH_COMMAND: ssh.sshCommand });
  const head = commit(pod, { a: "" });
  pod.outcome();
  assert.equal((await published(pod)).commit_sha, head);
  assert.equal(remote.head(`myzel/${pod.taskId}`), head);
});

test("the outbox and the transcript are stored", async () => {
  const pod = await checkedOut({ profile: { may_create_tasks: true } });
  pod.outcome();
  writeFileSync(join(pod.workspace, "outbox", "0002.json"), JSON.stringify({ prompt: "second", addressee: "other" }));
  writeFileSync(join(pod.workspace, "outbox", "0001.json"), JSON.stringify({ prompt: "first" }));
  writeFileSync(join(pod.workspace, "outbox", "0003.json"), JSON.stringify({ addressee: "no prompt" }));
  writeFileSync(join(pod.workspace, "stream.jsonl"), '{"type":"result"}\n');
  const empty = {
    ...{ repo_url: null, branch: null, base_branch: null, kind: null, step: null, paths: null },
    ...{ wake: "each", pull_request: false },
  };
  assert.deepEqual((await published(pod)).tasks, [
    { prompt: "first", addressee: null, ...empty },
    { prompt: "second", addressee: "other", ...empty },
  ]);
  assert.equal((await pod.stored()).transcript, '{"type":"result"}\n');
  assert.equal(readFileSync(join(pod.workspace, "stream.jsonl"), "utf8"), '{"type":"result"}\n');
});
