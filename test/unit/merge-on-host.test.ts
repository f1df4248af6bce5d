/** What is decided about pull requests without asking anybody. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readRemoteAddress } from "../../worker-image/git/remote-address.ts";
import { hostAddress } from "../../worker-image/hosts/find-host.ts";
import type { Check, PullRequest } from "../../worker-image/hosts/host.ts";
import { judgeMerge, type Seen } from "../../worker-image/merge/judge-merge.ts";
import { requestText } from "../../worker-image/merge/request-text.ts";
import { briefWith } from "../support/agent-phase.ts";
import { failedReport } from "../../worker-image/run-failure.ts";

const SHA = "a".repeat(40);
const pull: PullRequest = {
  number: 1,
  url: "https://host/1",
  state: "open",
  headSha: SHA,
  mergeCommit: null,
  conflicts: false,
};
const words = { name: "GitHub", noun: "pull request" } as const;
const green: Check = { name: "tests", url: null, state: "passed" };

function judged(change: Partial<Omit<Seen, "pull">> & { pull?: Partial<PullRequest> } = {}): string {
  const { pull: changed, ...rest } = change;
  const seen = { checks: [green], sha: SHA, waitedMs: 30_000, limitMs: 900_000, graceMs: 30_000, words, ...rest };
  const verdict = judgeMerge({ ...seen, pull: { ...pull, ...changed } });
  return verdict.kind === "failed" ? `${verdict.failure.code}: ${verdict.failure.error}` : verdict.kind;
}

test("a pull request is merged when it is green, and waited for while that may change", () => {
  assert.equal(judged(), "merge");
  assert.equal(judged({ checks: [{ ...green, state: "running" }] }), "wait");
  for (const checks of [[], [green]]) {
    assert.equal(judged({ checks, waitedMs: 29_999 }), "wait", "more may begin");
    assert.equal(judged({ checks }), "merge", "there are no others");
  }
  assert.equal(judged({ pull: { conflicts: null } }), "wait");
  assert.equal(judged({ pull: { conflicts: null }, waitedMs: 900_000 }), "merge", "the host shall say");
  assert.equal(judged({ pull: { headSha: "b" }, waitedMs: 0 }), "wait", "the host may not have seen the push");
  assert.equal(judged({ pull: { state: "merged", headSha: "b" } }), "merged");
});

test("what cannot become green is said, the certain before the possible", () => {
  assert.match(judged({ pull: { state: "closed" } }), /^push_rejected: .* was closed meanwhile/);
  assert.match(judged({ pull: { headSha: "b" } }), /^push_rejected: .* has moved meanwhile/);
  assert.match(judged({ pull: { conflicts: true } }), /^push_rejected: .* conflicts with its target/);
  const many = Array.from({ length: 7 }, (_, at): Check => ({ name: `check ${at}`, url: null, state: "failed" }));
  assert.match(judged({ checks: [...many, { ...green, state: "running" }] }), /check 4 and 2 more\.$/);
  const running: Check = { ...green, state: "running" };
  assert.match(judged({ checks: [running], waitedMs: 900_000 }), /^checks_failed: After 15 minutes .*: tests\.$/);
});

test("the API is the host's own, and nobody else gets the token", () => {
  const token = { MYZEL_GIT_PASSWORD: "token-0123456789" };
  const found = (url: string, api: "github" | "gitlab" | null, api_url: string | null = null, environment = token) => {
    const address = hostAddress({ api, api_url }, readRemoteAddress(url), environment);
    return "problem" in address ? address.problem : `${address.base} ${address.repository}`;
  };
  assert.equal(found("https://github.com/me/it.git", "github"), "https://api.github.com me/it");
  assert.equal(found("git@github.com:me/it.git", "github"), "https://api.github.com me/it");
  assert.equal(found("https://git.firm.example/me/it/", "github"), "https://git.firm.example/api/v3 me/it");
  assert.equal(found("ssh://git@gitlab.com:22/a/b/it.git", "gitlab"), "https://gitlab.com/api/v4 a/b/it");
  assert.equal(
    found("https://firm.example/gitlab/a/it", "gitlab", "https://firm.example/gitlab/api/v4/"),
    "https://firm.example/gitlab/api/v4 a/it",
  );
  assert.match(found("https://github.com/it", "github"), /names no repository of api\.github\.com/);
  assert.match(found("https://github.com/a/b/c", "github"), /names no repository/);
  assert.match(found("file:///srv/it.git", "github"), /is on no host/);
  assert.match(found("https://github.com/me/it", null), /not known to have pull requests/);
  assert.match(found("https://gitlab.com/a/b", "gitlab", "http://gitlab.com/api/v4"), /not reached over https/);
  assert.match(found("git@github.com:me/it.git", "github", null, { MYZEL_GIT_PASSWORD: "" }), /need a token/);
});

test("the text of a pull request has no effect at its host", () => {
  const report = { ...failedReport({ code: "lost", error: "" }), summary: "First line\n```\n/merge @all closes #1" };
  const { title, body } = requestText(briefWith(), report, "");
  assert.equal(title, "First line");
  assert.match(body, /\n````text\nFirst line\n```\n\/merge @all closes #1\n````\n/);
  assert.equal(requestText(briefWith(), report, "  Add\u0007 it ").title, "Add it");
  assert.match(requestText(briefWith(), { ...report, summary: null }, "").title, /^Work of task 0/);
});
