/** The plan's way to a planner and back into the repository: real remotes, a real database. */
import assert from "node:assert/strict";
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { Report } from "../../worker-image/contract.ts";
import { epicMarker, sectionOf } from "../../worker-image/plan/sections.ts";
import { layOutResults } from "../../worker-image/results/lay-out-results.ts";
import { bareRemote, type BareRemote } from "../support/git-remotes.ts";
import { asPod, type PodRun, podRun, type PodTask } from "../support/pod-run.ts";

const PLAN = ".ai/plan.md";
const BRANCH = "myzel/plan";
const OTHER = "00000000-0000-7000-8000-00000000000f";
const OTHERS = `# Plan\n\nFor all.\n\n## Other ${epicMarker(OTHER)}\n\nTheirs.\n`;

let remote: BareRemote;
let closing: (() => Promise<void> | void)[] = [];
beforeEach(() => {
  remote = bareRemote();
  closing = [remote.remove];
});
afterEach(async () => {
  for (const close of closing.toReversed()) await close();
});

/** A claimed run of a Green that has filed nothing yet; `plan_branch`: of its epic. */
async function green(task: PodTask & { plan_branch?: string } = {}): Promise<PodRun> {
  const { plan_branch, ...rest } = task;
  const pod = await podRun({ repo_url: remote.url, addressee: "project-mgr-web", ...rest });
  closing.push(pod.close);
  await pod.db.pool.query("update epics set title = 'Login', plan_branch = $1", [plan_branch ?? null]);
  return pod;
}

async function checkedOut(task: Parameters<typeof green>[0] = {}, environment = {}): Promise<PodRun> {
  const pod = await green(task);
  Object.assign(pod.environment, environment);
  assert.deepEqual(await pod.phase("checkout"), { exitCode: 0, stderr: "", message: null });
  pod.outcome();
  return pod;
}

async function refused(task: Parameters<typeof green>[0] = {}): Promise<string> {
  const pod = await green(task);
  const end = await pod.phase("checkout");
  assert.equal(end.exitCode, 20, end.stderr);
  assert.equal((await pod.stored()).report?.code, "checkout_failed");
  return end.message ?? "";
}

function heading(pod: PodRun): string {
  return `## Login ${epicMarker(pod.taskId)}`;
}

/** The next attempt at the same task, as the engine makes it after such a failure. */
async function nextAttempt(pod: PodRun, failure_code = "lost"): Promise<PodRun> {
  await pod.db.settle(pod.taskId, { action: "requeue", success: false, failure_code, retry_after_seconds: 0 });
  await pod.db.claimAll();
  const next = await asPod(pod.db, pod.taskId);
  closing.push(() => rmSync(next.directory, { recursive: true, force: true }));
  return next;
}

/** What the agent writes into its section, below the heading. */
function write(pod: PodRun, text: string): string {
  const file = join(pod.repo, PLAN);
  const section = `${heading(pod)}\n\n${text}`;
  const plan = readFileSync(file, "utf8");
  assert.ok(plan.includes(heading(pod)), plan);
  writeFileSync(file, plan.replace(sectionOf(plan, pod.taskId) ?? "", section));
  return section;
}

async function published(pod: PodRun, stderr: string | RegExp = ""): Promise<Report> {
  const end = await pod.phase("publish");
  assert.equal(end.exitCode, 0, end.stderr);
  if (typeof stderr === "string") assert.equal(end.stderr, stderr);
  else assert.match(end.stderr, stderr);
  const { report } = await pod.stored();
  assert.ok(report);
  return report;
}

async function rejected(pod: PodRun, code: string, sentence: RegExp): Promise<void> {
  const before = remote.git("for-each-ref");
  const report = await published(pod, /^/);
  assert.deepEqual([report.success, report.code, report.commit_sha], [false, code, null], report.error ?? "");
  assert.match(report.error ?? "", sentence);
  assert.equal(remote.git("for-each-ref"), before, "nothing was pushed");
  await pod.db.pool.query("update runs set report = null");
}

test("the work tree shows the default branch as it is now, with the plan branch's plan laid over it", async () => {
  const plan = remote.commit(BRANCH, { [PLAN]: OTHERS, "old.txt": "" });
  remote.commit("main", { "new.txt": "new", [PLAN]: "of the default branch" });
  const pod = await checkedOut();
  const shown_sha = remote.head("main");
  assert.deepEqual(pod.record(), { already_published: false, branch: BRANCH, start_sha: plan, shown_sha });
  assert.equal(pod.git("rev-parse", "HEAD"), remote.head("main"));
  assert.equal(pod.git("status", "--porcelain"), `M ${PLAN}`);
  assert.equal(readFileSync(join(pod.repo, PLAN), "utf8"), `${OTHERS}\n${heading(pod)}\n`);
  assert.equal(pod.git("rev-parse", `origin/${BRANCH}`), plan);
});

test("the first plan makes the plan branch from the default branch, and nothing but the plan is published", async () => {
  const pod = await checkedOut();
  const moved = remote.commit("main", { "meanwhile.txt": "" });
  const section = write(pod, "Goal: a login.\n\n## Steps\n\n1. form");
  pod.write({ "src/code.ts": "not Green's to write", "README.md": "changed" });
  pod.git("add", "--all");
  pod.git("commit", "--quiet", "--message", "Work");
  pod.write({ "left.txt": "" });
  const report = await published(
    pod,
    "Of Green only the plan is published; left out: README.md, left.txt, src/code.ts.\n",
  );
  assert.deepEqual([report.success, report.branch, report.files_changed], [true, BRANCH, [PLAN]]);
  assert.equal(report.commit_sha, remote.head(BRANCH));
  assert.equal(remote.head("main"), moved, "the default branch is untouched");
  assert.equal(remote.git("rev-parse", `${BRANCH}^`), moved, "made from it as it is now");
  assert.equal(remote.git("diff", "--name-only", moved, BRANCH), PLAN);
  assert.equal(remote.file(BRANCH, PLAN), `${section}\n`);
  assert.equal(
    remote.git("show", "--no-patch", "--format=%B%an <%ae>", BRANCH),
    `Plan: Login\n\nMyzel-Epic: ${pod.taskId}\nMyzel-Task: ${pod.taskId}\nMyzel agent project-mgr-web <agent@myzel.invalid>`,
  );
  assert.deepEqual((await pod.stored()).announced, report);
});

test("a section that nobody has written to is not published, and a plan as it was makes no commit", async () => {
  const pod = await checkedOut();
  assert.deepEqual([(await published(pod)).commit_sha, remote.head(BRANCH)], [null, null]);
  const before = remote.commit(BRANCH, { [PLAN]: `${heading(pod)}\n\nAs it was.\n\n\n` });
  const again = await asPod(pod.db, pod.taskId);
  assert.equal((await again.phase("checkout")).exitCode, 0);
  again.outcome();
  await pod.db.pool.query("update runs set report = null");
  assert.deepEqual([(await published(again)).commit_sha, remote.head(BRANCH)], [null, before]);
  rmSync(again.directory, { recursive: true });
});

test("Greens of one project that publish at once all have their section in the plan, one commit each, none by force", async () => {
  remote.git("config", "receive.denyNonFastForwards", "true");
  const pods = [await checkedOut(), await checkedOut(), await checkedOut(), await checkedOut()];
  const sections = pods.map((pod, index) => write(pod, `Goal ${index}.`));
  const reports = await Promise.all(pods.map((pod) => published(pod)));
  const plan = remote.file(BRANCH, PLAN) ?? "";
  for (const [index, pod] of pods.entries()) {
    assert.equal(sectionOf(plan, pod.taskId), sections[index]);
    assert.ok(reports[index]?.success);
    const sha = reports[index]?.commit_sha ?? "";
    assert.equal(remote.git("merge-base", sha, BRANCH), sha, "its commit is on the branch");
    assert.equal((await pod.stored()).announced?.commit_sha, sha);
  }
  assert.equal(remote.git("rev-list", "--count", `main..${BRANCH}`), "4");
});

test("other sections stay as they are on the remote, whatever the agent made of them", async () => {
  remote.commit(BRANCH, { [PLAN]: OTHERS });
  const pod = await checkedOut();
  const now = OTHERS.replace("Theirs.", "Theirs, gone on with.");
  remote.commit(BRANCH, { [PLAN]: now });
  const section = write(pod, "Mine.");
  const file = join(pod.repo, PLAN);
  writeFileSync(file, readFileSync(file, "utf8").replace("Theirs.", "Defaced.").replace("For all.", "For me."));
  assert.ok((await published(pod)).success);
  assert.equal(remote.file(BRANCH, PLAN), `${now}\n${section}\n`);
});

test("what a person wrote into the very section meanwhile is kept beside the agent's lines", async () => {
  const first = await checkedOut();
  write(first, "Goal: a login.\n\n- form: open\n- tests: open");
  assert.ok((await published(first)).success);
  const pod = await asPod(first.db, first.taskId);
  assert.equal((await pod.phase("checkout")).exitCode, 0);
  pod.outcome();
  await pod.db.pool.query("update runs set report = null, announced = null");
  const plan = remote.file(BRANCH, PLAN) ?? "";
  remote.commit(BRANCH, { [PLAN]: plan.replace("Goal: a login.", "Goal: a login by e-mail.") });
  write(pod, "Goal: a login.\n\n- form: done\n- tests: under way");
  assert.ok((await published(pod)).success);
  assert.equal(
    remote.file(BRANCH, PLAN),
    `${heading(pod)}\n\nGoal: a login by e-mail.\n\n- form: done\n- tests: under way\n`,
  );
  rmSync(pod.directory, { recursive: true });
});

test("the default branch may be the plan branch: it gets the plan and nothing else", async () => {
  const pod = await checkedOut({ plan_branch: "main" });
  const section = write(pod, "Mine.");
  pod.write({ "code.ts": "" });
  const moved = remote.commit("main", { "meanwhile.txt": "" });
  assert.ok((await published(pod, /left out: code.ts/)).success);
  assert.equal(remote.git("rev-parse", "main^"), moved);
  assert.equal(remote.git("diff", "--name-only", moved, "main"), PLAN);
  assert.equal(remote.file("main", PLAN), `${section}\n`);
});

test("a shallow clone of one commit is enough", async () => {
  remote.commit(BRANCH, { [PLAN]: OTHERS });
  remote.commit("main", { "a.txt": "" });
  remote.commit("feature", { "f.txt": "" });
  const pod = await checkedOut({}, { MYZEL_CLONE_DEPTH: "1" });
  assert.equal(pod.git("rev-parse", "origin/feature"), remote.head("feature"), "others' work is there to read");
  remote.commit(BRANCH, { "x.txt": "" });
  const section = write(pod, "Mine.");
  assert.ok((await published(pod)).success);
  assert.equal(remote.file(BRANCH, PLAN), `${OTHERS}\n${section}\n`);
  assert.equal(remote.git("rev-list", "--count", BRANCH), "4");
});

test("an attempt after a lost report finds its plan on the remote, also when others have gone on", async () => {
  const pod = await checkedOut();
  write(pod, "Mine.");
  const report = await published(pod);
  await pod.db.pool.query("update runs set report = null");
  assert.deepEqual(await published(pod), report, "the same phase once more");
  remote.commit(BRANCH, { "other.txt": "" });
  const again = await nextAttempt(pod);
  assert.equal((await again.phase("checkout")).exitCode, 0);
  assert.equal(again.record().already_published, true);
  assert.deepEqual(await published(again), report);
});

test("a Green that a usage limit cut short goes on with what it had written into the plan", async () => {
  for (const before of [null, OTHERS]) {
    if (before !== null) remote.commit(BRANCH, { [PLAN]: before });
    const pod = await checkedOut();
    const section = write(pod, "Half of it");
    pod.outcome({ success: false, code: "usage_limit", error: "5-hour limit", summary: null });
    assert.equal((await published(pod, /^/)).code, "usage_limit");
    const next = await nextAttempt(pod, "usage_limit");
    assert.deepEqual(await next.phase("checkout"), { exitCode: 0, stderr: "", message: null });
    assert.equal(sectionOf(readFileSync(join(next.repo, PLAN), "utf8"), pod.taskId), section);
    remote.commit("main", { [`moved-${before === null}.txt`]: "" });
    const whole = write(next, "Half of it, and the other half.");
    next.outcome();
    assert.ok((await published(next)).success);
    assert.equal(remote.file(BRANCH, PLAN), `${before === null ? "" : `${before}\n`}${whole}\n`);
    remote.git("update-ref", "-d", `refs/heads/${BRANCH}`);
  }
});

test("what a person writes into a section while its Green waits for a limit to pass is kept", async () => {
  for (const isCommitted of [true, false]) {
    const pod = await green();
    const plan = (goal: string) => `${heading(pod)}\n\nGoal: ${goal}.\n\n- form: open\n- tests: open\n`;
    remote.commit(BRANCH, { [PLAN]: plan("a login") });
    assert.equal((await pod.phase("checkout")).exitCode, 0);
    write(pod, "Goal: a login.\n\n- form: done\n- tests: open");
    if (isCommitted) {
      pod.git("add", "--all");
      pod.git("commit", "--quiet", "--message", "The plan");
    }
    await limited(pod);
    remote.commit(BRANCH, { [PLAN]: plan("a login by e-mail") });
    const second = await nextAttempt(pod, "usage_limit");
    assert.equal((await second.phase("checkout")).exitCode, 0);
    await limited(second);
    const third = await nextAttempt(pod, "usage_limit");
    assert.equal((await third.phase("checkout")).exitCode, 0);
    write(third, "Goal: a login.\n\n- form: done\n- tests: under way");
    third.outcome();
    assert.ok((await published(third)).success);
    assert.equal(
      remote.file(BRANCH, PLAN),
      `${heading(pod)}\n\nGoal: a login by e-mail.\n\n- form: done\n- tests: under way\n`,
    );
  }
});

async function limited(pod: PodRun, isKept = true): Promise<void> {
  pod.outcome({ success: false, code: "usage_limit", error: "5-hour limit", summary: null });
  assert.equal((await published(pod, /^/)).work_kept, isKept);
}

test("a Green that goes on reads its own half of the plan, and what others wrote meanwhile", async () => {
  const pod = await green();
  const plan = (goal: string, state: string) => `${heading(pod)}\n\nGoal: ${goal}.\n\n- form: ${state}\n`;
  remote.commit(BRANCH, { [PLAN]: plan("a login", "open") });
  assert.equal((await pod.phase("checkout")).exitCode, 0);
  write(pod, "Goal: a login.\n\n- form: done");
  await limited(pod);
  remote.commit(BRANCH, { [PLAN]: `${OTHERS}\n${plan("a login by e-mail", "open")}` });
  const next = await nextAttempt(pod, "usage_limit");
  assert.equal((await next.phase("checkout")).exitCode, 0);
  const merged = `${OTHERS}\n${plan("a login by e-mail", "done")}`;
  assert.equal(readFileSync(join(next.repo, PLAN), "utf8"), merged);
  assert.deepEqual(readdirSync(join(next.workspace, "tmp")), []);
  next.outcome();
  assert.ok((await published(next)).success);
  assert.equal(remote.file(BRANCH, PLAN), merged);
});

test("of a Green that was cut short before it wrote anything nothing is kept, and it begins with the plan as it is", async () => {
  const pod = await green();
  remote.commit(BRANCH, { [PLAN]: OTHERS });
  assert.equal((await pod.phase("checkout")).exitCode, 0);
  await limited(pod, false);
  const noted = await nextAttempt(pod, "usage_limit");
  assert.equal((await noted.phase("checkout")).exitCode, 0);
  noted.write({ "notes.txt": "Not published, but the agent's." });
  await limited(noted);
  const byHand = remote.commit(BRANCH, { [PLAN]: `${OTHERS}\n${heading(pod)}\n\nBy hand.\n` });
  const next = await nextAttempt(noted, "usage_limit");
  assert.equal((await next.phase("checkout")).exitCode, 0);
  assert.equal(existsSync(join(next.repo, "notes.txt")), true);
  next.outcome();
  const report = await published(next, /left out: notes.txt/);
  assert.deepEqual([report.success, report.commit_sha, remote.head(BRANCH)], [true, null, byHand], "a person's commit");
});

test("of a Green whose remote cannot be reached its own commits alone are kept, and it goes on from them", async () => {
  const pod = await green();
  remote.commit(BRANCH, { [PLAN]: OTHERS });
  assert.equal((await pod.phase("checkout")).exitCode, 0);
  const limitedAlone = async (of: PodRun): Promise<void> => {
    renameSync(remote.path, `${remote.path}.away`);
    await limited(of);
    renameSync(`${remote.path}.away`, remote.path);
    const { rows } = await of.db.pool.query("select bundle, base_sha from run_work where run_id = $1", [of.runId]);
    const header = (rows[0].bundle as Buffer).toString("latin1").split("\n\n", 1)[0] ?? "";
    assert.deepEqual([header.match(/(?<=^-)\w+/gm), rows[0].base_sha], [[main], plan]);
  };
  const [main, plan] = [remote.head("main"), remote.head(BRANCH)];
  const section = write(pod, "Half of it");
  await limitedAlone(pod);
  remote.commit("main", { "moved.txt": "" });
  const next = await nextAttempt(pod, "usage_limit");
  assert.equal((await next.phase("checkout")).exitCode, 0);
  assert.equal(readFileSync(join(next.repo, PLAN), "utf8"), `${OTHERS}\n${section}\n`);
  await limitedAlone(next);
});

test("a Green merges nothing, and opens no pull request for its plan", async () => {
  const merging = { options: { kind: "merge", merge_branch: "feature" }, project: { merge_policy: "auto" } };
  remote.commit("feature", { "f.txt": "" });
  assert.match(await refused(merging), /^A task of kind merge is for a worker, and "project-mgr-web" is a Green: /);
  const pod = await checkedOut({ options: { pull_request: true } });
  write(pod, "Mine.");
  const report = await published(pod);
  assert.deepEqual([report.success, report.pull_request_url], [true, null], report.error ?? "");
});

test("what a person wrote meanwhile is kept, although the clone has one commit of history", async () => {
  const pod = await green();
  const plan = (goal: string) => `${heading(pod)}\n\nGoal: ${goal}.\n\n- form: open\n- tests: open\n`;
  remote.commit(BRANCH, { [PLAN]: plan("a login") });
  pod.environment["MYZEL_CLONE_DEPTH"] = "1";
  assert.equal((await pod.phase("checkout")).exitCode, 0);
  write(pod, "Goal: a login.\n\n- form: done\n- tests: open");
  remote.commit(BRANCH, { [PLAN]: plan("a login by e-mail") });
  pod.outcome();
  assert.ok((await published(pod)).success);
  assert.equal(remote.file(BRANCH, PLAN), plan("a login by e-mail").replace("form: open", "form: done"));
});

/** An epic of the database that ended so many days ago; its Green last left the plan with this commit. */
async function endedEpic(pod: PodRun, id: string, { daysAgo, plan }: { daysAgo: number; plan: string }): Promise<void> {
  await pod.db.pool.query(
    `insert into epics (id, addressee, title, state, end_code, ended_at, plan_commit)
     values ($1, 'project-mgr-web', 'Ended', 'finished', 'finished', myzel_now() - make_interval(days => $2), $3)`,
    [id, daysAgo, plan],
  );
}

test("sections of epics that ended long ago leave the plan, but for what a person wrote since, and the commit says which", async () => {
  const [old, edited, young, unknown, active] = [1, 2, 3, 4, 5].map((at) => `00000000-0000-7000-8000-0000000000e${at}`);
  const section = (id = "", text = "Done.") => `## Epic ${id.slice(-2)} ${epicMarker(id)}\n\n### Steps\n\n${text}\n\n`;
  const all = [old, edited, young, unknown, active];
  const plan = remote.commit(BRANCH, { [PLAN]: `For all.\n\n${all.map((id) => section(id)).join("")}` });
  for (const depth of ["", "1"]) {
    const pod = await green();
    for (const id of [old, edited]) await endedEpic(pod, id ?? "", { daysAgo: 15, plan });
    await endedEpic(pod, young ?? "", { daysAgo: 13, plan });
    await endedEpic(pod, active ?? "", { daysAgo: 15, plan });
    await pod.db.pool.query("update epics set state = 'active', end_code = null, ended_at = null where id = $1", [
      active,
    ]);
    const sections = [section(old), section(edited, "Done. But look at this again."), section(young)];
    const before = `For all.\n\n${sections.join("")}${section(unknown)}${section(active)}`;
    const parent = remote.commit(BRANCH, { [PLAN]: before });
    if (depth !== "") pod.environment["MYZEL_CLONE_DEPTH"] = depth;
    assert.equal((await pod.phase("checkout")).exitCode, 0);
    pod.outcome();
    assert.equal((await published(pod)).commit_sha, null, "nothing new, no commit");
    await pod.db.pool.query("update runs set report = null");
    const own = write(pod, "Mine.");
    assert.ok((await published(pod)).success);
    assert.equal(remote.file(BRANCH, PLAN), `${before.replace(section(old), "")}${own}\n`);
    assert.equal(remote.git("rev-parse", `${BRANCH}^`), parent);
    const said = `Plan: Login\n\nSections of ended epics leave the plan; the parent has them:\n- Epic e1 (${old})\n\n`;
    const ours = `Myzel-Epic: ${pod.taskId}\nMyzel-Task: ${pod.taskId}`;
    assert.equal(remote.git("show", "--no-patch", "--format=%B", BRANCH), `${said}${ours}`);
  }
});

test("the project's default branch counts, whatever the remote's is", async () => {
  const develop = remote.commit("develop", { "d.txt": "" });
  const pod = await green();
  await pod.db.pool.query("insert into projects (name, repo_url, default_branch) values ('web', $1, 'develop')", [
    remote.url,
  ]);
  await pod.db.pool.query("update runs set project = 'web'");
  assert.equal((await pod.phase("checkout")).exitCode, 0);
  assert.equal(pod.git("rev-parse", "HEAD"), develop);
  write(pod, "Mine.");
  pod.outcome();
  assert.ok((await published(pod)).success);
  assert.equal(remote.git("rev-parse", `${BRANCH}^`), develop);
  await pod.db.pool.query("update projects set default_branch = 'nowhere'");
  await pod.db.pool.query("update runs set report = null, announced = null");
  remote.git("update-ref", "-d", `refs/heads/${BRANCH}`);
  assert.equal((await pod.phase("checkout")).message, 'The project\'s default branch "nowhere" is not on the remote.');
});

test("a plan without any epic's mark is taken whole; one that lost only its own is refused; a removed one changes nothing", async () => {
  const pod = await checkedOut();
  writeFileSync(join(pod.repo, PLAN), "# My plan\n\n1. form\n");
  assert.ok((await published(pod)).success);
  assert.equal(remote.file(BRANCH, PLAN), `${heading(pod)}\n\n# My plan\n\n1. form\n`);

  remote.commit(BRANCH, { [PLAN]: OTHERS });
  const other = await checkedOut();
  writeFileSync(join(other.repo, PLAN), `${OTHERS}\n## Login\n\nMine.\n`);
  await rejected(other, "push_rejected", /has no section of this epic any more.*must end in <!-- epic: /);
  rmSync(join(other.repo, PLAN));
  assert.deepEqual([(await published(other)).success, remote.file(BRANCH, PLAN)], [true, OTHERS]);
});

test("a plan that is a link, in a linked directory, too large, no text or with a secret in it is refused", async () => {
  const pod = await checkedOut();
  const file = join(pod.repo, PLAN);
  rmSync(file);
  symlinkSync("/etc/passwd", file);
  await rejected(pod, "push_rejected", /no regular file/);
  rmSync(join(pod.repo, ".ai"), { recursive: true });
  symlinkSync("/etc", join(pod.repo, ".ai"));
  await rejected(pod, "push_rejected", /\.ai is no directory any more/);
  rmSync(join(pod.repo, ".ai"));
  pod.write({ [PLAN]: `${heading(pod)}\n\na\0b\n` });
  await rejected(pod, "push_rejected", /NUL character/);
  truncateSync(file, 2 ** 20 + 1);
  await rejected(pod, "push_rejected", /larger than 1 MiB/);
  writeFileSync(file, `${heading(pod)}\n\nUse ${pod.token}\n`);
  await rejected(pod, "secret_leaked", /contains the run's token/);
});

test("a repository that has something else in the plan's place, or no commit, is refused with a sentence", async () => {
  remote.commit(BRANCH, { ".ai": "a file" });
  assert.equal(
    await refused(),
    '.ai on "myzel/plan" is no directory, so there is no place for the plan: remove it from the branch.',
  );
  const target = remote.git("hash-object", "-w", "HEAD");
  remote.git("read-tree", "main");
  remote.git("update-index", "--add", "--cacheinfo", `120000,${target},${PLAN}`);
  const commit = remote.git("commit-tree", remote.git("write-tree"), "-p", "main", "-m", "A link");
  remote.git("update-ref", `refs/heads/${BRANCH}`, commit);
  assert.match(await refused(), /^\.ai\/plan\.md on "myzel\/plan" is no regular file/);
  remote.git("update-ref", "-d", `refs/heads/${BRANCH}`);
  remote.commit(BRANCH, { [PLAN]: OTHERS });
  remote.commit("main", { ".ai": "a file" });
  assert.match(await refused(), /^\.ai on the default branch is no directory/);
  assert.match(await refused({ plan_branch: "main/x" }), /"main\/x" cannot be made.*beside the branch "main"/);
  const empty = bareRemote({ empty: true });
  closing.push(empty.remove);
  assert.match(await refused({ repo_url: empty.url }), /^The repository is empty: an epic needs a default branch/);
});

test("long results lie beside the repository, a file each; short ones do not", async () => {
  const pod = await green();
  const [long, short] = ["00000000-0000-7000-8000-0000000000a1", "00000000-0000-7000-8000-0000000000a2"];
  const insert = "insert into wake_up_results (wake_up_id, task_id, result) values ($1, $2, $3)";
  const result = { success: true, summary: "ä".repeat(5000) };
  await pod.db.pool.query(insert, [pod.taskId, long, JSON.stringify(result)]);
  await pod.db.pool.query(insert, [pod.taskId, short, '{"success": true}']);
  assert.equal((await pod.phase("checkout")).exitCode, 0);
  assert.deepEqual(readdirSync(join(pod.workspace, "results")), [`${long}.json`]);
  assert.deepEqual(JSON.parse(readFileSync(join(pod.workspace, "results", `${long}.json`), "utf8")), result);
});

test("a result whose name leads elsewhere is refused", async () => {
  const pod = await green();
  for (const name of ["../x.json", "a/b", "", ".hidden", "/etc/x", "a\0b", "x".repeat(201)]) {
    await assert.rejects(layOutResults(pod.directory, [{ name, content: "x" }]), /has a name that is not used here/);
  }
  assert.equal(existsSync(join(pod.directory, "results")), false);
});

test("a Green without a repository has no plan and succeeds", async () => {
  const pod = await podRun({ addressee: "project-mgr-web" });
  closing.push(pod.close);
  assert.equal((await pod.phase("checkout")).exitCode, 0);
  pod.outcome();
  const report = await published(pod);
  assert.deepEqual([report.success, report.branch, report.commit_sha], [true, null, null]);
});
