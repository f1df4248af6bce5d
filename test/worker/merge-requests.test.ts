/** GitLab's merge requests in publish: against a stand-in of its API, with a real remote behind it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pullRequestTests, repeatedPullRequestTests } from "../support/host-api/cases.ts";
import { eachWithRemote, mergeRun, published, remote, startHost } from "../support/host-api/host-run.ts";

eachWithRemote();
pullRequestTests("gitlab");
repeatedPullRequestTests("gitlab");

test("a GitLab job that may fail is no reason, a pipeline that failed is one", async () => {
  const host = await startHost("gitlab");
  remote.commit("feature", { "a.txt": "1" });
  host.checks = [{ name: "optional", state: "failed" }];
  host.mayFail.add("optional");
  host.pipeline = "success";
  assert.equal((await published(await mergeRun("gitlab", host))).success, true);
  remote.commit("feature", { "b.txt": "1" });
  host.pipeline = "failed";
  const report = await published(await mergeRun("gitlab", host));
  assert.match(report.error ?? "", /failed: pipeline 7\.$/);
  assert.match(report.logs ?? "", /https:\/\/gitlab\.example\/pipelines\/7/);
});
