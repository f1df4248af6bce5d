/** What publish keeps of a run that it does not push, and what the next attempt's checkout makes of it. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { randomBytes } from "node:crypto";
import { bareRemote, type BareRemote, gitAsSomebody } from "../support/git-remotes.ts";
import { asPod, type PodRun, podRun, type PodTask } from "../support/pod-run.ts";

const SESSION = "8b8710fb-2a58-4bd4-8704-a03cbc418d5f";
const LIMIT = {
  success: false,
  code: "usage_limit",
  error: "5-hour limit",
  session_id: SESSION,
  summary: null,
} as const;
const GIT_PASSWORD = "a-git-password-of-some-length";

let remote: BareRemote;
let closing: (() => Promise<void> | void)[] = [];
beforeEach(() => {
  remote = bareRemote();
  closing = [remote.remove];
});
afterEach(async () => {
  for (const close of closing.toReversed()) await close();
});

async function checkedOut(task: PodTask = {}, environment: Record<string, string> = {}): Promise<PodRun> {
  const pod = await podRun({ repo_url: remote.url, branch: "work", ...task });
  closing.push(pod.close);
  Object.assign(pod.environment, environment);
  const end = await pod.phase("checkout");
  assert.equal(end.exitCode, 0, end.stderr);
  return pod;
}

function commit(pod: PodRun, files: Record<string, string | Buffer>, message = "Work"): string {
  pod.write(files);
  pod.git("add", "--all");
  pod.git("commit", "--quiet", "--message", message);
  return pod.git("rev-parse", "HEAD");
}

/** Where the CLI keeps the session of this workspace. */
function sessionPath(pod: PodRun, id = SESSION): string {
  const directory = pod.repo.replaceAll(/[^a-zA-Z0-9]/g, "-");
  return join(pod.workspace, "home", ".claude", "projects", directory, `${id}.jsonl`);
}

function leaveSession(pod: PodRun, lines: object[]): void {
  mkdirSync(dirname(sessionPath(pod)), { recursive: true });
  writeFileSync(sessionPath(pod), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

async function published(pod: PodRun) {
  const end = await pod.phase("publish");
  assert.equal(end.exitCode, 0, end.stderr);
  const { report } = await pod.stored();
  assert.ok(report);
  return { report, said: end.stderr };
}

async function keptOf(pod: PodRun) {
  const { rows } = await pod.db.pool.query("select * from run_work where run_id = $1", [pod.runId]);
  return rows[0] as {
    bundle: Buffer | null;
    branch: string;
    base_sha: string;
    head_sha: string;
    session: Buffer | null;
  };
}

/** Settles the run as the engine would. */
async function settle(pod: PodRun, settlement: Record<string, unknown>): Promise<void> {
  const { rows } = await pod.db.pool.query("select epoch from engine_state");
  const whole = JSON.stringify({ success: false, ...settlement });
  await pod.db.pool.query("select settle_run($1, $2, $3)", [rows[0].epoch, pod.runId, whole]);
}

/** Puts the task back after a usage limit and claims its next run. */
async function nextAttempt(pod: PodRun): Promise<PodRun> {
  await settle(pod, { action: "requeue", failure_code: "usage_limit", retry_after_seconds: 0 });
  return claimed(pod);
}

/** The pod of the task's next run, once this was done to the task. */
async function claimed(pod: PodRun, edit?: string): Promise<PodRun> {
  if (edit !== undefined) await pod.db.pool.query(edit, [pod.taskId]);
  await pod.db.claimAll();
  const next = await asPod(pod.db, pod.taskId);
  closing.push(() => rmSync(next.directory, { recursive: true, force: true }));
  assert.notEqual(next.runId, pod.runId);
  return next;
}

test("commits and uncommitted changes of a limited run are there in the next attempt, and the session with them", async () => {
  const base = remote.head("main");
  const pod = await checkedOut();
  commit(pod, { "one.txt": "1" }, "One");
  commit(pod, { "two.txt": "2" }, "Two");
  pod.write({ "three.txt": "3" });
  leaveSession(pod, [
    { type: "user", text: "Do it." },
    { type: "cost-state", totalCostUSD: 1 },
  ]);
  pod.outcome(LIMIT);
  const { report } = await published(pod);
  assert.deepEqual([report.code, report.work_kept, report.commit_sha], ["usage_limit", true, null]);
  assert.equal(remote.head("work"), null, "nothing is pushed");
  const kept = await keptOf(pod);
  assert.deepEqual([kept.branch, kept.base_sha], ["work", base]);
  assert.doesNotMatch(gunzipSync(kept.session ?? "").toString(), /cost-state/, "the next attempt counts its own cost");

  const next = await nextAttempt(pod);
  const end = await next.phase("checkout");
  assert.equal(end.exitCode, 0, end.stderr);
  assert.equal(next.git("rev-parse", "HEAD"), kept.head_sha);
  assert.equal(next.git("status", "--porcelain"), "");
  assert.equal(next.git("symbolic-ref", "HEAD"), "refs/heads/work");
  assert.equal(next.git("for-each-ref", "refs/myzel"), "");
  assert.equal(readFileSync(join(next.repo, "three.txt"), "utf8"), "3");
  assert.equal(readFileSync(sessionPath(next), "utf8"), `${JSON.stringify({ type: "user", text: "Do it." })}\n`);
  const { continued, start_sha } = next.record();
  assert.equal(start_sha, base);
  assert.equal(continued?.session_id, SESSION);
  assert.match(continued.commits, /^\w+ Keep what the agent left.*\n\w+ Two\n\w+ One$/);

  next.outcome({ success: true });
  const { report: last } = await published(next);
  assert.deepEqual([last.success, last.commit_sha, last.work_kept], [true, kept.head_sha, false]);
  assert.deepEqual(last.files_changed.toSorted(), ["one.txt", "three.txt", "two.txt"]);
  assert.equal(remote.file("work", "two.txt"), "2");
});

test("work that a moved branch refused is kept, and a person's retry may go on from it", async () => {
  remote.commit("work", { "a.txt": "a" });
  const pod = await checkedOut();
  const mine = commit(pod, { "mine.txt": "mine" });
  remote.commit("work", { "a.txt": "theirs" });
  pod.outcome();
  const { report } = await published(pod);
  assert.deepEqual([report.code, report.work_kept], ["push_rejected", true]);
  await settle(pod, { action: "complete", failure_code: "push_rejected", error: "It has moved." });
  const next = await claimed(pod, "select reschedule($1, 'Merge it.', continue => true)");
  assert.equal((await next.phase("checkout")).exitCode, 0);
  assert.equal(next.git("rev-parse", "HEAD"), mine);
  assert.equal(next.record().continued?.code, "push_rejected");
  next.git("merge", "--quiet", "--no-edit", "origin/work");
  next.outcome();
  const { report: merged } = await published(next);
  assert.equal(merged.success, true, merged.error ?? "");
  assert.equal(remote.file("work", "a.txt"), "theirs");
  assert.equal(remote.file("work", "mine.txt"), "mine");
});

test("the bundle is one that git fetches from, and nothing is kept of a run that left nothing", async () => {
  const pod = await checkedOut();
  const head = commit(pod, { "one.txt": "1" });
  pod.outcome({ ...LIMIT, code: "max_turns" });
  await published(pod);
  const directory = mkdtempSync(join(tmpdir(), "myzel-bundle-"));
  closing.push(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(join(directory, "work.bundle"), (await keptOf(pod)).bundle ?? "");
  gitAsSomebody(directory, "clone", "--quiet", remote.path, "clone");
  gitAsSomebody(join(directory, "clone"), "fetch", "--quiet", "../work.bundle", "work:work");
  assert.equal(gitAsSomebody(join(directory, "clone"), "rev-parse", "work"), head);

  const other = await checkedOut({ branch: "nothing" });
  other.outcome({ ...LIMIT, session_id: null });
  assert.equal((await published(other)).report.work_kept, false);
  assert.equal(await keptOf(other), undefined);
});

test("a secret in the commits means that nothing is kept, and one in the session is masked", async () => {
  const secret = { MYZEL_GIT_PASSWORD: GIT_PASSWORD };
  const leaking = await checkedOut({ branch: "leak" }, secret);
  commit(leaking, { "a.txt": GIT_PASSWORD });
  leaveSession(leaking, [{ type: "user" }]);
  leaking.outcome(LIMIT);
  const { report, said } = await published(leaking);
  assert.deepEqual([report.code, report.work_kept], ["usage_limit", false]);
  assert.match(said, /Nothing of the run's work is kept\. A new commit contains the git password/);
  assert.equal(await keptOf(leaking), undefined);

  const talking = await checkedOut({ branch: "talk" }, secret);
  leaveSession(talking, [{ type: "user", text: `It is ${GIT_PASSWORD}.` }]);
  talking.outcome(LIMIT);
  assert.equal((await published(talking)).report.work_kept, true);
  const { session, bundle } = await keptOf(talking);
  assert.equal(bundle, null);
  assert.equal(gunzipSync(session ?? "").toString(), `{"type":"user","text":"It is [masked]."}\n`);
});

test("a session that is a link, lies behind one, or has a name that leads elsewhere is not read", async () => {
  const pod = await checkedOut();
  const target = join(pod.directory, "target.jsonl");
  writeFileSync(target, "{}\n");
  mkdirSync(dirname(sessionPath(pod)), { recursive: true });
  symlinkSync(target, sessionPath(pod));
  pod.outcome(LIMIT);
  const { report, said } = await published(pod);
  assert.equal(report.work_kept, false);
  assert.match(said, /no plain file/);

  const behind = await checkedOut({ branch: "behind" });
  leaveSession(behind, [{ type: "user" }]);
  const projects = join(behind.workspace, "home", ".claude", "projects");
  renameSync(projects, join(behind.directory, "projects"));
  symlinkSync(join(behind.directory, "projects"), projects);
  behind.outcome(LIMIT);
  assert.equal((await published(behind)).report.work_kept, false);

  const named = await checkedOut({ branch: "named" });
  named.outcome({ ...LIMIT, session_id: "../../../../../etc/passwd" });
  assert.equal((await published(named)).report.work_kept, false);
});

test("more than 32 MiB are not kept, and that is said", async () => {
  const pod = await checkedOut();
  commit(pod, { "big.bin": randomBytes(33 * 2 ** 20) });
  leaveSession(pod, [{ type: "user" }]);
  pod.outcome(LIMIT);
  const { report, said } = await published(pod);
  assert.equal(report.work_kept, false);
  assert.match(said, /What was not pushed has 3[34] MiB; at most 32 MiB are kept\./);
  assert.equal(await keptOf(pod), undefined);
});

test("a remote that cannot be reached does not cost the work", async () => {
  const pod = await checkedOut();
  const head = commit(pod, { "one.txt": "1" });
  renameSync(remote.path, `${remote.path}.away`);
  pod.outcome(LIMIT);
  assert.equal((await published(pod)).report.work_kept, true);
  renameSync(`${remote.path}.away`, remote.path);
  const kept = await keptOf(pod);
  assert.deepEqual([kept.head_sha, kept.base_sha], [head, remote.head("main")]);
  const next = await nextAttempt(pod);
  assert.equal((await next.phase("checkout")).exitCode, 0);
  assert.equal(next.git("rev-parse", "HEAD"), head);
});

test("a limited run says so, although the remote cannot be asked for what an earlier attempt announced", async () => {
  const earlier = await checkedOut();
  const announced = { success: true, branch: "work", commit_sha: commit(earlier, { "lost.txt": "1" }) };
  await earlier.db.pool.query("update runs set announced = $1", [JSON.stringify(announced)]);
  const pod = await nextAttempt(earlier);
  assert.equal((await pod.phase("checkout")).exitCode, 0);
  const head = commit(pod, { "one.txt": "1" });
  renameSync(remote.path, `${remote.path}.away`);
  pod.outcome(LIMIT);
  const { report } = await published(pod);
  renameSync(`${remote.path}.away`, remote.path);
  assert.deepEqual([report.code, report.error, report.work_kept], ["usage_limit", LIMIT.error, true]);
  assert.equal((await keptOf(pod)).head_sha, head);
});

test("work that begins where the remote no longer is costs the attempt its start, not its run", async () => {
  remote.commit("gone", { "g.txt": "g" });
  const away = await checkedOut({ branch: "gone" });
  commit(away, { "one.txt": "1" });
  leaveSession(away, [{ type: "user" }]);
  away.outcome(LIMIT);
  assert.equal((await published(away)).report.work_kept, true);
  remote.git("update-ref", "-d", "refs/heads/gone");
  remote.git("reflog", "expire", "--expire=now", "--all");
  remote.git("gc", "--quiet", "--prune=now");
  const next = await nextAttempt(away);
  const end = await next.phase("checkout");
  assert.equal(end.exitCode, 0, end.stderr);
  assert.equal(next.git("rev-parse", "HEAD"), remote.head("main"));
  assert.equal(next.record().continued, null);
  assert.throws(() => readFileSync(sessionPath(next)), /ENOENT/, "no session without its work");
});

test("a run that was told to stop may keep its work, and neither push nor report", async () => {
  const pod = await checkedOut();
  const head = commit(pod, { "one.txt": "1" });
  leaveSession(pod, [{ type: "user" }]);
  pod.outcome({ ...LIMIT, code: "stopped" });
  await pod.db.pool.query("select stop($1)", [pod.taskId]);
  assert.equal((await pod.phase("publish")).exitCode, 21, "an ordinary publish is turned away");
  const end = await pod.phase("publish", { MYZEL_KEEP_ONLY: "1" });
  assert.equal(end.exitCode, 0, end.stderr);
  assert.deepEqual(
    [(await keptOf(pod)).head_sha, (await pod.stored()).report, remote.head("work")],
    [head, null, null],
  );
  await settle(pod, { action: "complete", failure_code: "stopped" });
  assert.equal(
    (await pod.phase("publish", { MYZEL_KEEP_ONLY: "1" })).exitCode,
    21,
    "a run that is over keeps nothing more",
  );
});
