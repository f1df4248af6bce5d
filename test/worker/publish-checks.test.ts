/** A Red whose checks fail cannot push as if they passed; and what the report says of changed files. */
import assert from "node:assert/strict";
import { renameSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { Outcome, Report } from "../../worker-image/contract.ts";
import { bareRemote, type BareRemote } from "../support/git-remotes.ts";
import { type PodRun, podRun } from "../support/pod-run.ts";

let remote: BareRemote;
let closing: (() => Promise<void> | void)[] = [];
beforeEach(() => {
  remote = bareRemote();
  closing = [remote.remove];
});
afterEach(async () => {
  for (const close of closing.toReversed()) await close();
});

async function checkedOut(profile: Record<string, unknown>): Promise<PodRun> {
  const pod = await podRun({ repo_url: remote.url, branch: "work", profile });
  closing.push(pod.close);
  assert.equal((await pod.phase("checkout")).exitCode, 0);
  return pod;
}

async function published(pod: PodRun, outcome: Partial<Outcome>): Promise<Report> {
  pod.outcome(outcome);
  assert.equal((await pod.phase("publish")).exitCode, 0);
  const { report } = await pod.stored();
  assert.ok(report);
  return report;
}

const failed = { passed: false, tries: 2, output: "1 test failed" };
const passed = { passed: true, tries: 1, output: "ok" };

test("failing checks push nothing, and the result holds them", async () => {
  const pod = await checkedOut({ check_command: "npm test" });
  pod.write({ "a.txt": "" });
  const outcome = {
    success: false,
    code: "checks_failed",
    error: "The check command failed.",
    checks: failed,
  } as const;
  const report = await published(pod, outcome);
  assert.deepEqual([report.code, report.commit_sha, report.checks], ["checks_failed", null, failed]);
  assert.equal(remote.head("work"), null);
});

test("a success that no check has seen is checks_failed, whatever the outcome claims", async () => {
  for (const checks of [null, failed]) {
    const pod = await checkedOut({ check_command: "npm test" });
    pod.write({ "a.txt": "" });
    const report = await published(pod, { success: true, checks });
    assert.deepEqual([report.success, report.code], [false, "checks_failed"]);
    assert.match(report.error ?? "", /but the check command has not passed/);
    assert.equal(remote.head("work"), null);
  }
});

test("with checks that passed the work is pushed, and the result holds them", async () => {
  const pod = await checkedOut({ check_command: "npm test" });
  pod.write({ "a.txt": "" });
  const report = await published(pod, { checks: passed });
  assert.deepEqual([report.success, report.checks, report.commit_sha], [true, passed, remote.head("work")]);
});

test("failing work is pushed where the profile says so, as a failure", async () => {
  const pod = await checkedOut({ check_command: "npm test", push_failing_work: true });
  pod.write({ "a.txt": "" });
  const report = await published(pod, { success: true, checks: failed });
  assert.deepEqual([report.success, report.code, report.commit_sha], [false, "checks_failed", remote.head("work")]);
});

test("a renamed file counts under both names, and not more than 1,000 are named", async () => {
  remote.commit("main", { "old/name.txt": "the same content, of some length, in both\n" });
  const pod = await checkedOut({});
  renameSync(join(pod.repo, "old/name.txt"), join(pod.repo, "new.txt"));
  assert.deepEqual((await published(pod, {})).files_changed, ["new.txt", "old/name.txt"]);
  const many = await checkedOut({});
  many.write(Object.fromEntries(Array.from({ length: 1100 }, (_, at) => [`many/${at}.txt`, String(at)])));
  assert.equal((await published(many, {})).files_changed.length, 1000);
});
