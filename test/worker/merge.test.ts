/** Tasks of kind `merge` whose Red pushes the target itself: policies `auto` and `approval`. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import type { Report } from "../../worker-image/contract.ts";
import { bareRemote, type BareRemote } from "../support/git-remotes.ts";
import { type PodRun, podRun, type PodTask } from "../support/pod-run.ts";

let remote: BareRemote;
let closing: (() => Promise<void> | void)[] = [];
beforeEach(() => {
  remote = bareRemote();
  closing = [remote.remove];
});
afterEach(async () => {
  for (const close of closing.toReversed()) await close();
});

/** The run of a merge of `feature`, before its checkout. */
async function mergeRun(task: PodTask = {}): Promise<PodRun> {
  const pod = await podRun({
    repo_url: remote.url,
    options: { kind: "merge", merge_branch: "feature" },
    project: { merge_policy: "auto" },
    ...task,
  });
  closing.push(pod.close);
  return pod;
}

async function checkedOut(task: PodTask = {}): Promise<PodRun> {
  const pod = await mergeRun(task);
  const end = await pod.phase("checkout");
  assert.equal(end.exitCode, 0, end.stderr);
  return pod;
}

async function published(pod: PodRun, outcome: Parameters<PodRun["outcome"]>[0] = {}): Promise<Report> {
  pod.outcome(outcome);
  const end = await pod.phase("publish");
  assert.deepEqual([end.exitCode, end.stderr], [0, ""]);
  const { report } = await pod.stored();
  assert.ok(report);
  return report;
}

/** Publishes what must not be pushed, and returns the sentence. */
async function rejected(pod: PodRun, outcome: Parameters<PodRun["outcome"]>[0] = {}): Promise<string> {
  const before = remote.head("main");
  pod.outcome(outcome);
  assert.equal((await pod.phase("publish")).exitCode, 0);
  const { report } = await pod.stored();
  assert.deepEqual([report?.success, report?.code], [false, "push_rejected"], report?.error ?? "");
  assert.equal(remote.head("main"), before, "nothing was pushed");
  return report?.error ?? "";
}

function merge(pod: PodRun, ...options: string[]): string {
  pod.git("merge", "--quiet", "--no-ff", ...options, "--message", "Merge feature", "origin/feature");
  return pod.git("rev-parse", "HEAD");
}

test("the work tree is the default branch, and the merge commit is pushed to it", async () => {
  for (const merge_policy of ["auto", "approval"]) {
    const feature = remote.commit("feature", { [`${merge_policy}.txt`]: "new" });
    remote.commit("main", { [`other-${merge_policy}.txt`]: "meanwhile" });
    const pod = await checkedOut({ project: { merge_policy } });
    assert.deepEqual(pod.record(), { already_published: false, branch: "main", start_sha: remote.head("main") });
    assert.equal(pod.git("branch", "--show-current"), "main");
    const head = merge(pod);
    const report = await published(pod);
    assert.deepEqual(
      [report.success, report.branch, report.commit_sha, report.files_changed],
      [true, "main", head, [`${merge_policy}.txt`]],
    );
    assert.equal(remote.head("main"), head);
    assert.equal(remote.git("rev-parse", "main^2"), feature);
    assert.equal((await pod.stored()).announced?.commit_sha, head);
  }
});

test("the project's default branch is the target where it names one", async () => {
  remote.commit("develop", { "develop.txt": "" });
  remote.commit("feature", { "a.txt": "" });
  const pod = await checkedOut({ project: { merge_policy: "auto", default_branch: "develop" } });
  assert.equal(pod.record().branch, "develop");
  const head = merge(pod);
  assert.equal((await published(pod)).branch, "develop");
  assert.equal(remote.head("develop"), head);
  assert.notEqual(remote.head("main"), head);
});

test("a fast-forward is a merge too", async () => {
  const feature = remote.commit("feature", { "a.txt": "" });
  const pod = await checkedOut();
  pod.git("merge", "--quiet", "--ff-only", "origin/feature");
  assert.equal((await published(pod)).commit_sha, feature);
  assert.equal(remote.head("main"), feature);
});

test("a conflict that was settled is pushed; shallow clones are whole for a merge", async () => {
  remote.commit("main", { "a.txt": "1\n" });
  remote.commit("feature", { "a.txt": "feature\n" });
  remote.commit("main", { "a.txt": "main\n" });
  const pod = await mergeRun();
  pod.environment["MYZEL_CLONE_DEPTH"] = "1";
  assert.equal((await pod.phase("checkout")).exitCode, 0);
  assert.throws(() => merge(pod));
  pod.write({ "a.txt": "both\n" });
  pod.git("commit", "--quiet", "--all", "--message", "Merge feature, both meant");
  const head = pod.git("rev-parse", "HEAD");
  assert.equal((await published(pod)).commit_sha, head);
  assert.equal(remote.file("main", "a.txt"), "both\n");
});

test("conflict markers are not pushed, committed or not", async () => {
  remote.commit("main", { "a.txt": "1\n" });
  remote.commit("feature", { "a.txt": "feature\n", "ü b.txt": "feature\n" });
  remote.commit("main", { "a.txt": "main\n", "ü b.txt": "main\n" });
  const left = await checkedOut();
  assert.throws(() => merge(left));
  assert.match(await rejected(left), /^The branch "feature" was not merged into "main", or has moved meanwhile/);
  const committed = await checkedOut();
  assert.throws(() => merge(committed));
  committed.git("commit", "--quiet", "--all", "--message", "Merge feature");
  assert.equal(await rejected(committed), "The merge leaves conflict markers in a.txt, ü b.txt; nothing was pushed.");
});

test("text that only looks like a conflict and comes from one side is no conflict", async () => {
  remote.commit("main", { "title.md": "Title\n=======\n" });
  remote.commit("feature", { "guide.md": "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> other\n", "title.md": "T\n=======\n" });
  const pod = await checkedOut();
  merge(pod);
  assert.equal((await published(pod)).success, true);
});

test("a branch that was not merged is push_rejected, whatever else was done", async () => {
  remote.commit("feature", { "a.txt": "" });
  const idle = await checkedOut();
  assert.match(await rejected(idle), /^The branch "feature" was not merged into "main"/);
  const other = await checkedOut();
  other.write({ "b.txt": "" });
  assert.match(await rejected(other), /^The branch "feature" was not merged into "main"/);
});

test("a source that moved meanwhile is push_rejected", async () => {
  remote.commit("feature", { "a.txt": "" });
  const pod = await checkedOut();
  merge(pod);
  remote.commit("feature", { "late.txt": "" });
  assert.match(await rejected(pod), /or has moved meanwhile/);
  remote.git("update-ref", "-d", "refs/heads/feature");
  await pod.db.pool.query("update runs set report = null");
  assert.match(await rejected(pod), /^The branch "feature" is no longer on the remote/);
});

test("a source that an agent changed after a person had allowed the merge is merged by nobody", async () => {
  remote.commit("feature", { "a.txt": "" });
  const pod = await checkedOut({ project: { merge_policy: "approval" } });
  const { db } = pod;
  const other = await db.insert({ addressee: "other", repo_url: remote.url, branch: "feature" });
  // as though an agent's task had asked for it
  const adopt = `update tasks set parent_id = '${other}' where id = '${pod.taskId}'`;
  await db.pool.query(`alter table tasks disable trigger user; ${adopt}; alter table tasks enable trigger user`);
  const asked = `with asked as (
      insert into tasks (addressee, prompt, parent_id) values ('blue', 'May it?', $1) returning id)
    insert into task_options (task_id, kind, on_approval)
    select id, 'approval', '{"branch": "feature", "approved": true}' from asked returning task_id`;
  const { rows } = await db.pool.query(asked, [other]);
  await db.pool.query("update tasks set status = 'completed' where id = $1", [rows[0].task_id]);
  await db.claimAll();
  await db.settle(other, { action: "complete", success: true, branch: "feature", commit_sha: "c" });
  const sentence = `The branch "feature" was changed by task ${other} after its merge was allowed, so nothing was merged: ask for it again.`;
  merge(pod);
  assert.equal(await rejected(pod), sentence);
  await db.pool.query("update runs set report = null");
  assert.equal((await pod.phase("checkout")).message, sentence);
});

test("a target that moved meanwhile is push_rejected, and never forced", async () => {
  remote.commit("feature", { "a.txt": "" });
  const pod = await checkedOut();
  merge(pod);
  remote.commit("main", { "meanwhile.txt": "" });
  assert.match(await rejected(pod), /^The branch "main" has moved on the remote meanwhile/);
  const rewriting = await checkedOut();
  rewriting.git("reset", "--quiet", "--hard", "origin/feature");
  assert.match(await rejected(rewriting), /rewrote the history|was not merged/);
});

test("what is on the target already, merged or squashed, is a success without a commit", async () => {
  remote.commit("feature", { "a.txt": "feature\n" });
  remote.commit("main", { "a.txt": "feature\n", "b.txt": "" });
  const squashed = await checkedOut();
  const first = await published(squashed);
  assert.deepEqual([first.success, first.branch, first.commit_sha], [true, "main", null], first.error ?? "");
  const pod = await checkedOut();
  const head = merge(pod);
  await published(pod);
  const again = await checkedOut();
  const report = await published(again);
  assert.deepEqual([report.success, report.commit_sha, remote.head("main")], [true, null, head]);
});

test("a merge whose checks fail pushes nothing, even where failing work is pushed", async () => {
  remote.commit("feature", { "a.txt": "" });
  const pod = await checkedOut({ profile: { push_failing_work: true } });
  merge(pod);
  const before = remote.head("main");
  const report = await published(pod, { success: false, code: "checks_failed", error: "The check command failed." });
  assert.equal(report.code, "checks_failed");
  assert.equal(remote.head("main"), before);
});

test("a report that was lost after the push is found, and the merge not made again", async () => {
  remote.commit("feature", { "a.txt": "" });
  const pod = await checkedOut();
  const head = merge(pod);
  await published(pod);
  await pod.db.pool.query("update runs set report = null");
  const again = await pod.phase("publish");
  assert.equal(again.exitCode, 0);
  assert.deepEqual([(await pod.stored()).report?.commit_sha, remote.head("main")], [head, head]);
});

test("missing branches are said at checkout", async () => {
  const pod = await mergeRun();
  const end = await pod.phase("checkout");
  assert.deepEqual([end.exitCode, end.message], [20, 'The branch to be merged, "feature", is not on the remote.']);
  remote.commit("feature", { "a.txt": "" });
  const other = await mergeRun({ project: { merge_policy: "auto", default_branch: "gone" } });
  assert.equal((await other.phase("checkout")).message, 'The target of the merge, "gone", is not on the remote.');
});

test("nobody but a merge pushes the default branch, be it the remote's or the project's", async () => {
  remote.commit("develop", { "develop.txt": "" });
  for (const branch of ["main", "develop"]) {
    const project = { merge_policy: "auto", default_branch: "develop" };
    const pod = await mergeRun({ branch, options: { kind: "implement" }, project });
    const end = await pod.phase("checkout");
    assert.equal(end.exitCode, 20);
    assert.match(end.message ?? "", new RegExp(`^"${branch}" is the default branch`));
  }
});
