import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { Report } from "../../worker-image/contract.ts";
import { bareRemote, type BareRemote } from "../support/git-remotes.ts";
import { type PodRun, podRun } from "../support/pod-run.ts";

let remote: BareRemote;
let pod: PodRun;
/** Made by anything of the agent's that is run. */
let mark: string;

beforeEach(async () => {
  remote = bareRemote();
  remote.commit("main", {
    "tracked.txt": "1",
    "dir/inner.txt": "1",
    ".gitattributes": "*.txt filter=evil diff=evil merge=evil\n",
  });
  pod = await podRun({ repo_url: remote.url, profile: { may_create_tasks: true } });
  assert.equal((await pod.phase("checkout")).exitCode, 0);
  pod.outcome();
  mark = join(pod.directory, "the-agent-ran-something");
});
afterEach(async () => {
  await pod.close();
  remote.remove();
});

function commit(files: Record<string, string>): string {
  pod.write(files);
  pod.git("add", "--all");
  pod.git("commit", "--quiet", "--message", "Work");
  return pod.git("rev-parse", "HEAD");
}

/** Publishes; says no more than this on stderr. */
async function published(said = /^$/): Promise<Report> {
  const end = await pod.phase("publish");
  assert.equal(end.exitCode, 0);
  assert.match(end.stderr, said);
  assert.equal(existsSync(mark), false, "nothing of the agent's ran");
  const { report } = await pod.stored();
  assert.ok(report);
  return report;
}

test("no hook and no setting of the agent's repository runs a program", async () => {
  const head = commit({ "work.txt": "" });
  const gitDir = join(pod.repo, ".git");
  const evil = join(pod.workspace, "evil.sh");
  writeFileSync(evil, `#!/bin/sh\ntouch ${mark}\ncat\n`, { mode: 0o755 });
  mkdirSync(join(gitDir, "hooks"));
  const hooks = [
    "pre-push",
    "post-checkout",
    "pre-commit",
    "post-index-change",
    "reference-transaction",
    "fsmonitor-watchman",
    "post-update",
    "pre-receive",
    "sendpack",
    "pre-auto-gc",
  ];
  for (const hook of hooks) writeFileSync(join(gitDir, "hooks", hook), `#!/bin/sh\ntouch ${mark}\n`, { mode: 0o755 });
  const settings = [
    `[core]\n\tfsmonitor = ${evil}\n\thooksPath = ${join(gitDir, "hooks")}\n\tsshCommand = ${evil}\n\talternateRefsCommand = ${evil}\n\tworktree = /etc\n`,
    `[uploadpack]\n\tpackObjectsHook = ${evil}\n`,
    `[filter "evil"]\n\tclean = ${evil}\n\tsmudge = ${evil}\n\tprocess = ${evil}\n\trequired\n`,
    `[diff "evil"]\n\ttextconv = ${evil}\n\tcommand = ${evil}\n`,
    `[include]\n\tpath = ${join(pod.workspace, "more")}\n`,
    `[credential]\n\thelper = ${evil}\n`,
    `[extensions]\n\tpartialClone = origin\n[remote "origin"]\n\turl = ext::${evil}\n\tpromisor = true\n\tuploadpack = ${evil}\n`,
  ];
  appendFileSync(join(gitDir, "config"), settings.join(""));
  writeFileSync(join(pod.workspace, "more"), `[core]\n\tfsmonitor = ${evil}\n`);
  writeFileSync(join(pod.workspace, "home", ".gitconfig"), settings.join(""));
  pod.write({ "tracked.txt": "2" });
  spawnSync("git", ["status"], { cwd: pod.repo });
  assert.ok(existsSync(mark), "an ordinary git would run them");
  rmSync(mark);
  const report = await published();
  assert.equal(report.success, true, report.error ?? "");
  assert.equal(remote.git("rev-parse", `${report.branch}^`), head);
  assert.equal(remote.file(report.branch ?? "", "tracked.txt"), "2");
});

test("a repository within the work tree is left out, and no program of its settings runs", async () => {
  const inner = join(pod.repo, "inner");
  const evil = join(pod.workspace, "evil.sh");
  writeFileSync(evil, `#!/bin/sh\ntouch ${mark}\n`, { mode: 0o755 });
  mkdirSync(inner);
  spawnSync("git", ["init", "--quiet"], { cwd: inner });
  appendFileSync(join(inner, ".git", "config"), `[core]\n\tfsmonitor = ${evil}\n`);
  pod.write({ "inner/x.txt": "", "outer.txt": "" });
  assert.deepEqual((await published()).files_changed, ["outer.txt"]);
});

test("a committed submodule stays as it is committed, whatever the agent put in its place", async () => {
  const sha = remote.head("main") ?? "";
  pod.git("update-index", "--add", "--cacheinfo", `160000,${sha},module`);
  pod.git("commit", "--quiet", "--message", "Add a submodule");
  const module = join(pod.repo, "module");
  const evil = join(pod.workspace, "evil.sh");
  writeFileSync(evil, `#!/bin/sh\ntouch ${mark}\n`, { mode: 0o755 });
  mkdirSync(module);
  spawnSync("git", ["init", "--quiet"], { cwd: module });
  appendFileSync(join(module, ".git", "config"), `[core]\n\tfsmonitor = ${evil}\n[diff]\n\tignoreSubmodules = none\n`);
  spawnSync(
    "git",
    [
      "-c",
      "core.fsmonitor=false",
      "-c",
      "user.name=x",
      "-c",
      "user.email=x",
      "commit",
      "--quiet",
      "--allow-empty",
      "-m",
      "x",
    ],
    { cwd: module },
  );
  pod.write({ "module/y.txt": "", "outer.txt": "" });
  spawnSync("git", ["status"], { cwd: pod.repo });
  assert.ok(existsSync(mark), "an ordinary git would run it");
  rmSync(mark);
  const report = await published();
  assert.deepEqual(report.files_changed, ["module", "outer.txt"]);
  assert.match(remote.git("ls-tree", report.branch ?? "", "module"), new RegExp(`^160000 commit ${sha}`));
});

test("objects that lie outside of the agent's repository are not lent to it", async () => {
  const foreign = bareRemote();
  try {
    const secret = foreign.commit("main", { "theirs.txt": "theirs" });
    const head = commit({ "work.txt": "" });
    const objects = join(pod.repo, ".git", "objects");
    const tricks: (() => void)[] = [
      () => {
        mkdirSync(join(objects, "info"), { recursive: true });
        writeFileSync(join(objects, "info", "alternates"), `${join(foreign.path, "objects")}\n`);
      },
      () => {
        rmSync(join(objects, "info", "alternates"));
        symlinkSync(join(foreign.path, "objects", secret.slice(0, 2)), join(objects, "zz"));
      },
      () => {
        rmSync(join(objects, "zz"));
        renameSync(objects, join(pod.workspace, "objects"));
        symlinkSync(join(foreign.path, "objects"), objects);
      },
      () => {
        renameSync(join(pod.repo, ".git"), join(pod.workspace, "git"));
        symlinkSync(foreign.path, join(pod.repo, ".git"));
      },
    ];
    for (const trick of tricks) {
      trick();
      if (existsSync(join(pod.repo, ".git", "HEAD"))) writeFileSync(join(pod.repo, ".git", "HEAD"), `${secret}\n`);
      await pod.db.pool.query("update runs set report = null");
      const report = await published();
      assert.equal(report.success, true, report.error ?? "");
      assert.deepEqual(report.files_changed, ["work.txt"], "the work tree is kept, on top of where it started");
      assert.notEqual(report.commit_sha, head);
      assert.equal(spawnSync("git", ["cat-file", "-e", secret], { cwd: remote.path }).status === 0, false);
      remote.git("update-ref", "-d", `refs/heads/${report.branch}`);
    }
  } finally {
    foreign.remove();
  }
});

test("links in refs, and a HEAD that climbs out, are not followed", async () => {
  commit({ "work.txt": "" });
  const gitDir = join(pod.repo, ".git");
  const outside = join(pod.directory, "outside");
  writeFileSync(outside, `${remote.head("main")}\n`);
  writeFileSync(join(gitDir, "HEAD"), "ref: refs/../../../../outside\n");
  assert.deepEqual((await published()).files_changed, ["work.txt"]);
  rmSync(join(gitDir, "HEAD"));
  symlinkSync(outside, join(gitDir, "HEAD"));
  await pod.db.pool.query("update runs set report = null");
  assert.deepEqual((await published()).files_changed, ["work.txt"]);
});

test("replacements, grafts and a forged shallow boundary do not change what is pushed", async () => {
  const first = commit({ "one.txt": "" });
  const second = commit({ "two.txt": "" });
  pod.git("replace", "--graft", second);
  writeFileSync(join(pod.repo, ".git", "info-grafts"), "");
  mkdirSync(join(pod.repo, ".git", "info"), { recursive: true });
  writeFileSync(join(pod.repo, ".git", "info", "grafts"), `${second}\n`);
  const report = await published();
  assert.deepEqual([report.commit_sha, report.files_changed], [second, ["one.txt", "two.txt"]]);
  assert.equal(remote.git("rev-parse", `${report.branch}^`), first);
});

test("a shallow boundary that hides new commits pushes nothing", async () => {
  commit({ "one.txt": "" });
  const second = commit({ "two.txt": "" });
  writeFileSync(join(pod.repo, ".git", "shallow"), `${second}\n`);
  const report = await published();
  assert.deepEqual([report.success, report.code, remote.branches()], [false, "push_rejected", ["refs/heads/main"]]);
});

test("a directory that became a link is not looked into", async () => {
  const outside = join(pod.directory, "outside");
  mkdirSync(outside);
  writeFileSync(join(outside, "inner.txt"), "from outside");
  writeFileSync(join(outside, "more.txt"), "from outside");
  rmSync(join(pod.repo, "dir"), { recursive: true });
  symlinkSync(outside, join(pod.repo, "dir"));
  const report = await published();
  assert.deepEqual(report.files_changed, ["dir", "dir/inner.txt"]);
  assert.equal(remote.file(report.branch ?? "", "dir"), outside);
});

test("a work tree that is a link is not published", async () => {
  renameSync(pod.repo, join(pod.workspace, "moved"));
  symlinkSync(join(pod.workspace, "moved"), pod.repo);
  const report = await published(/^Nothing of the run's work is kept\. The agent removed its work tree.*\n$/);
  assert.deepEqual([report.success, report.code], [false, "push_rejected"]);
});

test("pipes, sockets and repositories' own names in the work tree are left out", async () => {
  spawnSync("mkfifo", [join(pod.repo, "pipe")]);
  rmSync(join(pod.repo, "tracked.txt"));
  spawnSync("mkfifo", [join(pod.repo, "tracked.txt")]);
  pod.write({ "good.txt": "", "git~1/config": "", "sub/.GIT/config": "" });
  assert.deepEqual((await published()).files_changed, ["good.txt", "tracked.txt"]);
});

const NOT_KEPT = /^Nothing of the run's work is kept\. .*huge\.bin.*\n$/;

test("a file over 100 MiB is refused with a sentence, committed or not", async () => {
  pod.write({ "huge.bin": "" });
  truncateSync(join(pod.repo, "huge.bin"), 101 * 2 ** 20);
  const left = await published(NOT_KEPT);
  assert.deepEqual(
    [left.code, left.error],
    ["push_rejected", "The agent left the file huge.bin of 101 MiB; files over 100 MiB are not pushed."],
  );
  pod.git("add", "--all");
  pod.git("commit", "--quiet", "--message", "Huge");
  await pod.db.pool.query("update runs set report = null");
  const committed = await published(NOT_KEPT);
  assert.deepEqual(
    [committed.code, committed.error],
    [
      "push_rejected",
      "The agent committed the file huge.bin, which is larger than 100 MiB; such files are not pushed.",
    ],
  );
  assert.deepEqual(remote.branches(), ["refs/heads/main"]);
});

test("a file of the workspace that is a link or a pipe is read as missing", async () => {
  const { workspace } = pod;
  const outside = join(pod.directory, "outside");
  writeFileSync(outside, JSON.stringify({ prompt: "from outside" }));
  symlinkSync(outside, join(workspace, "outbox", "0001.json"));
  spawnSync("mkfifo", [join(workspace, "outbox", "0002.json")]);
  symlinkSync(outside, join(workspace, "stream.jsonl"));
  commit({ "work.txt": "" });
  const good = await published();
  assert.deepEqual([good.success, good.tasks, (await pod.stored()).transcript], [true, [], null]);

  rmSync(join(workspace, "outbox"), { recursive: true });
  mkdirSync(join(pod.directory, "out"));
  writeFileSync(join(pod.directory, "out", "0001.json"), JSON.stringify({ prompt: "from outside" }));
  symlinkSync(join(pod.directory, "out"), join(workspace, "outbox"));
  rmSync(join(workspace, "outcome.json"));
  spawnSync("mkfifo", [join(workspace, "outcome.json")]);
  await pod.db.pool.query("update runs set report = null");
  const bad = await published();
  assert.deepEqual([bad.code, bad.tasks], ["no_report", []]);
});

test("a report that says more than it may is cut to what the database takes", async () => {
  const files = Object.fromEntries(Array.from({ length: 1200 }, (_, index) => [`many/${index}.txt`, ""]));
  commit(files);
  for (let index = 1; index <= 150; index++) {
    const name = `${String(index).padStart(4, "0")}.json`;
    writeFileSync(join(pod.workspace, "outbox", name), JSON.stringify({ prompt: `${"x".repeat(100_000)}\ud800` }));
  }
  pod.outcome({ summary: `a\0b\ud800${"y".repeat(900_000)}` });
  const report = await published();
  assert.equal(report.files_changed.length, 1000);
  assert.ok(report.tasks.length > 10 && report.tasks.length <= 100);
  assert.ok((report.summary?.length ?? 0) <= 16_384 && report.summary?.startsWith("ab\ufffd"));
});

test("a stream that is too large is stored from its end, in whole lines", async () => {
  const line = `${JSON.stringify({ type: "assistant", text: "z".repeat(990) })}\n`;
  writeFileSync(join(pod.workspace, "stream.jsonl"), line.repeat(20_000));
  await published();
  const { transcript } = await pod.stored();
  assert.ok(
    transcript !== null && transcript.length < 18 * 2 ** 20 && transcript.startsWith("{") && transcript.endsWith("}\n"),
  );
  const stored = await pod.db.pool.query("select truncated from run_transcripts");
  assert.equal(stored.rows[0].truncated, true);
});

test("publish leaves nothing in the agent's workspace", async () => {
  commit({ "work.txt": "" });
  pod.write({ "left.txt": "" });
  const before = readdirSync(pod.workspace, { recursive: true }).map(String).toSorted();
  await published();
  assert.deepEqual(readdirSync(pod.workspace, { recursive: true }).map(String).toSorted(), before);
});
