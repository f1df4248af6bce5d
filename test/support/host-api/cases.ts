/** What holds of pull requests whatever the host calls them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Api, commit, mergeRun, nextAttempt, published, remote, runOf, startHost, TOKEN } from "./host-run.ts";

/** The tests of publish against this API. */
export function pullRequestTests(api: Api): void {
  test("a task that asks for it gets a request for its branch, and the same one the next time", async () => {
    const host = await startHost(api);
    const first = await runOf(api, host, { branch: "feature", options: { pull_request: true } });
    const head = commit(first, { "a.txt": "1" }, "Add a");
    const report = await published(first);
    assert.deepEqual([report.success, report.branch, report.commit_sha], [true, "feature", head], report.error ?? "");
    assert.match(report.pull_request_url ?? "", /^https:\S+requests?\/1$|^https:\S+pull\/1$/);
    assert.equal(host.requests.length, 1);
    const [request] = host.requests;
    assert.deepEqual([request?.source, request?.target, request?.title], ["feature", "main", "Add a"]);
    assert.match(request?.body ?? "", new RegExp(`^Made by Myzel\\.[^]*Task: ${first.taskId}$`));
    assert.match(request?.body ?? "", /```text\nDid it\.\n\/merge @everybody\n```/, "without effect");
    assert.equal(remote.head("main") === head, false, "opened, not merged");
    const second = await runOf(api, host, { branch: "feature", options: { pull_request: true } });
    commit(second, { "b.txt": "2" }, "Add b");
    assert.equal((await published(second)).pull_request_url, report.pull_request_url);
    assert.equal(host.requests.length, 1);
  });

  test("a merge waits for its checks, then merges what was judged", async () => {
    const host = await startHost(api);
    const feature = remote.commit("feature", { "a.txt": "1", "b.txt": "2" });
    remote.commit("main", { "other.txt": "" });
    host.checks = (looks) => [{ name: "tests", state: looks < 2 ? "running" : "passed" }];
    const pod = await mergeRun(api, host);
    pod.environment["MYZEL_CHECKS_WAIT_SECONDS"] = "60"; // a slow machine is no failure
    const report = await published(pod);
    assert.equal(report.error, null);
    assert.deepEqual(
      [report.success, report.branch, report.commit_sha, report.files_changed],
      [true, "main", remote.head("main"), ["a.txt", "b.txt"]],
    );
    assert.equal(remote.git("rev-parse", "main^2"), feature);
    assert.equal(host.requests[0]?.state, "merged");
    const merging = host.asked.find(({ method }) => method === "PUT");
    assert.equal(merging?.body["sha"], feature);
    assert.ok(host.asked.every(({ authorization }) => authorization === `Bearer ${TOKEN}`));
  });

  test("red checks are checks_failed with names and links, and nothing is merged", async () => {
    const host = await startHost(api);
    remote.commit("feature", { "a.txt": "1" });
    const before = remote.head("main");
    host.checks = [
      { name: "lint", state: "passed" },
      { name: "tests\nof all", state: "failed", url: "https://ci.example/7" },
    ];
    const report = await published(await mergeRun(api, host));
    assert.deepEqual([report.success, report.code, report.branch], [false, "checks_failed", "feature"]);
    assert.match(report.error ?? "", /^Checks of the \w+ request https:\S+1 failed: tests of all\.$/);
    assert.equal(report.logs, "tests of all: failed https://ci.example/7\n");
    assert.ok(report.pull_request_url);
    assert.equal(remote.head("main"), before);
    assert.equal(host.requests[0]?.state, "open");
  });

  test("checks that do not end are named, and nothing is merged", async () => {
    const host = await startHost(api);
    remote.commit("feature", { "a.txt": "1" });
    host.checks = [{ name: "slow", state: "running" }];
    const report = await published(await mergeRun(api, host));
    assert.equal(report.code, "checks_failed");
    assert.match(report.error ?? "", /^After 3 seconds checks of the .* were still running: slow\.$/);
    assert.equal(
      host.asked.some(({ method }) => method === "PUT"),
      false,
    );
  });

  test("a conflict is push_rejected", async () => {
    const host = await startHost(api);
    remote.commit("feature", { "a.txt": "feature" });
    remote.commit("main", { "a.txt": "main" });
    const report = await published(await mergeRun(api, host));
    assert.equal(report.code, "push_rejected");
    assert.match(report.error ?? "", /^The \w+ request https:\S+ conflicts with its target; it was not merged\.$/);
  });
}

/** More of them. */
export function repeatedPullRequestTests(api: Api): void {
  test("what is merged already is a success", async () => {
    const host = await startHost(api);
    remote.commit("feature", { "a.txt": "1" });
    const first = await published(await mergeRun(api, host));
    const again = await published(await mergeRun(api, host));
    assert.deepEqual(
      [again.success, again.commit_sha, again.pull_request_url],
      [true, first.commit_sha, first.pull_request_url],
      again.error ?? "",
    );
    remote.git("update-ref", "-d", "refs/heads/feature");
    const gone = await published(await mergeRun(api, host));
    assert.deepEqual([gone.success, gone.commit_sha], [true, first.commit_sha], gone.error ?? "");
  });

  test("what the agent brought up to date is pushed, and that is merged", async () => {
    const host = await startHost(api);
    remote.commit("feature", { "a.txt": "feature" });
    remote.commit("main", { "a.txt": "main" });
    const pod = await mergeRun(api, host);
    assert.throws(() => pod.git("merge", "--quiet", "origin/main"));
    pod.write({ "a.txt": "both" });
    pod.git("commit", "--quiet", "--all", "--message", "Merge main");
    const report = await published(pod);
    assert.equal(report.success, true, report.error ?? "");
    assert.equal(remote.file("main", "a.txt"), "both");
  });

  test("an attempt after a lost report goes on where it stood, without the agent", async () => {
    const host = await startHost(api);
    const feature = remote.commit("feature", { "a.txt": "1" });
    const pod = await mergeRun(api, host);
    host.interrupt({ method: "PUT", path: /\/merge$/ }, { status: 403, body: { message: "Not now" } });
    const report = await published(pod);
    assert.equal(report.code, "push_rejected");
    assert.match(report.error ?? "", /could not be merged: Git\w+ answered 403: Not now\./);
    assert.equal((await pod.stored()).announced?.commit_sha, feature);
    await pod.db.pool.query("update runs set report = null");
    const second = await nextAttempt(pod);
    assert.equal((await second.phase("checkout")).exitCode, 0);
    assert.deepEqual(second.record(), { already_published: true, branch: "feature", start_sha: feature });
    assert.equal((await second.phase("publish")).exitCode, 0);
    const again = (await second.stored()).report;
    assert.deepEqual([again?.success, again?.commit_sha], [true, remote.head("main")], again?.error ?? "");
    assert.equal(host.requests.length, 1);
  });

  test("a busy host is waited for, as long as it says", async () => {
    const host = await startHost(api);
    remote.commit("feature", { "a.txt": "1" });
    const pod = await mergeRun(api, host);
    host.interrupt({ path: /requests|pulls/ }, { status: 503 }, 2);
    host.interrupt({ method: "POST", path: /./ }, { status: 429, headers: { "retry-after": "1" } });
    const reset = String(Math.ceil(Date.now() / 1000) + 2);
    host.interrupt(
      { path: /commits/ },
      { status: 403, headers: { "x-ratelimit-remaining": "0", "x-ratelimit-reset": reset } },
    );
    const report = await published(pod);
    assert.equal(report.success, true, report.error ?? "");
    assert.equal(host.requests.length, 1);
  });

  test("an answer that was lost is looked up, and nothing is opened or merged twice", async () => {
    const host = await startHost(api);
    remote.commit("feature", { "a.txt": "1" });
    const pod = await mergeRun(api, host);
    host.interrupt({ method: "PUT", path: /\/merge$/ }, { status: 502 });
    const report = await published(pod);
    assert.equal(report.success, true, report.error ?? "");
    assert.equal(host.requests.length, 1);
  });

  test("a token that is refused, and a request that is, are said in the host's words", async () => {
    const host = await startHost(api);
    remote.commit("feature", { "a.txt": "1" });
    const pod = await mergeRun(api, host);
    host.interrupt({ path: /./ }, { status: 401, body: { message: "Bad credentials" } });
    const report = await published(pod);
    assert.deepEqual([report.code, report.success], ["push_rejected", false]);
    assert.match(
      report.error ?? "",
      /^The branch "feature" was not merged: Git\w+ answered 401: Bad credentials\. The token is not accepted there\.$/,
    );
  });
}
