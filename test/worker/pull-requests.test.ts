/** GitHub's pull requests in publish: against a stand-in of its API, with a real remote behind it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { pullRequestTests, repeatedPullRequestTests } from "../support/host-api/cases.ts";
import {
  closing,
  eachWithRemote,
  http,
  mergeRun,
  nextAttempt,
  published,
  remote,
  runOf,
  startHost,
  TOKEN,
} from "../support/host-api/host-run.ts";
import { podRun } from "../support/pod-run.ts";

eachWithRemote();
pullRequestTests("github");
repeatedPullRequestTests("github");

test("required checks decide alone, and one that nobody reported is waited for", async () => {
  const host = await startHost("github");
  remote.commit("feature", { "a.txt": "1" });
  host.required.protection = ["tests"];
  host.checks = [
    { name: "tests", state: "passed" },
    { name: "coverage", state: "failed" },
  ];
  assert.equal((await published(await mergeRun("github", host))).success, true);
  remote.commit("feature", { "b.txt": "1" });
  host.required.rules = ["review-bot"];
  const report = await published(await mergeRun("github", host));
  assert.match(report.error ?? "", /were still running: review-bot\.$/);
});

test("a repository that allows no merge commits is merged as it allows", async () => {
  const host = await startHost("github");
  host.allowed.delete("merge");
  remote.commit("feature", { "a.txt": "1" });
  const report = await published(await mergeRun("github", host));
  assert.equal(report.success, true, report.error ?? "");
  assert.equal(remote.git("rev-list", "--count", "--merges", "main"), "0");
  host.allowed.clear();
  remote.commit("feature", { "b.txt": "1" });
  const refused = await published(await mergeRun("github", host));
  assert.match(refused.error ?? "", /could not be merged: GitHub answered 405: merge commits are not allowed/);
});

test("a merge whose report was lost is found, although the host has removed its branch since", async () => {
  const host = await startHost("github");
  remote.commit("feature", { "a.txt": "1" });
  const pod = await mergeRun("github", host);
  const first = await published(pod);
  assert.equal(first.success, true, first.error ?? "");
  await pod.db.pool.query("update runs set report = null");
  remote.git("update-ref", "-d", "refs/heads/feature");
  const second = await nextAttempt(pod);
  assert.equal((await second.phase("checkout")).exitCode, 0);
  assert.equal(second.record().already_published, true);
  assert.equal((await second.phase("publish")).exitCode, 0);
  const again = (await second.stored()).report;
  assert.deepEqual(
    [again?.success, again?.commit_sha, again?.branch],
    [true, first.commit_sha, "main"],
    again?.error ?? "",
  );
  assert.equal(host.requests.length, 1);
});

test("the token follows no redirect to another host", async () => {
  const seen: (string | undefined)[] = [];
  const thief = createServer((request, response) => {
    seen.push(request.headers.authorization);
    response.end("[]");
  }).listen(0, "127.0.0.1");
  closing.push(() => void thief.close());
  await once(thief, "listening");
  const host = await startHost("github");
  remote.commit("feature", { "a.txt": "1" });
  const location = `http://127.0.0.1:${(thief.address() as AddressInfo).port}/`;
  host.interrupt({ path: /pulls/ }, { status: 302, headers: { location } }, 10);
  const report = await published(await mergeRun("github", host));
  assert.match(report.error ?? "", /GitHub redirects to http:\/\/127\.0\.0\.1:\d+, where the token is not sent/);
  assert.deepEqual(seen, []);
});

test("a redirect within the host is followed", async () => {
  const host = await startHost("github");
  remote.commit("feature", { "a.txt": "1" });
  host.interrupt({ method: "GET", path: /branches\/main$/ }, { status: 301, headers: { location: "/api/v3/repos/x" } });
  host.interrupt({ path: /repos\/x$/ }, { status: 200, body: { protection: null } });
  assert.equal((await published(await mergeRun("github", host))).success, true);
});

test("a task without changes of its own gets no request", async () => {
  const host = await startHost("github");
  const pod = await runOf("github", host, { branch: "feature", options: { pull_request: true } });
  const report = await published(pod);
  assert.deepEqual([report.success, report.pull_request_url, host.asked.length], [true, null, 0]);
});

test("without a token, or without a host, checkout says what is missing", async () => {
  for (const [project, environment, sentence] of [
    [{ host_api: "github" }, { MYZEL_GIT_PASSWORD: "" }, /need a token, and the git login for .* has none/],
    [
      { merge_policy: "pull_request" },
      { MYZEL_GIT_PASSWORD: TOKEN },
      /is not known to have pull requests: set host_api/,
    ],
  ] as const) {
    const options = { kind: "merge", merge_branch: "feature" };
    const pod = await podRun({ repo_url: http.hostUrl, branch: "feature", options, project });
    closing.push(pod.close);
    const end = await pod.phase("checkout", environment);
    assert.equal(end.exitCode, 20);
    assert.match(end.message ?? "", sentence);
  }
});
