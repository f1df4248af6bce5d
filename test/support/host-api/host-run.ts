/**
 * A run whose repository lies on a host with pull requests: a real remote over HTTP with a login, and a stand-in of
 * the host's API beside it.
 */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { afterEach, beforeEach } from "node:test";
import type { Report } from "../../../worker-image/contract.ts";
import { bareRemote, type BareRemote, httpRemote, type HttpRemote } from "../git-remotes.ts";
import { startGithub } from "./github-stand-in.ts";
import { startGitlab } from "./gitlab-stand-in.ts";
import { asPod, type PodRun, podRun, type PodTask } from "../pod-run.ts";

export const TOKEN = "token-of-the-host-0123456789";
const STARTERS = { github: startGithub, gitlab: startGitlab } as const;
export type Api = keyof typeof STARTERS;

export let remote: BareRemote;
export let http: HttpRemote;
/** What is closed after the test, the last first. */
export let closing: (() => Promise<void> | void)[] = [];

/** Gives each test of the file a remote of its own. */
export function eachWithRemote(): void {
  beforeEach(async () => {
    remote = bareRemote();
    http = await httpRemote(remote, { username: "git", password: TOKEN });
    closing = [remote.remove, http.close];
  });
  afterEach(async () => {
    for (const close of closing.toReversed()) await close();
  });
}

/** The stand-in of the host. */
export async function startHost<Name extends Api>(api: Name): Promise<Awaited<ReturnType<(typeof STARTERS)[Name]>>> {
  const host = (await STARTERS[api](remote, http.name, TOKEN)) as Awaited<ReturnType<(typeof STARTERS)[Name]>>;
  closing.push(host.close);
  return host;
}

/** A run whose checkout is done. */
export async function runOf(api: Api, host: { url: string }, task: PodTask): Promise<PodRun> {
  const project = { host_api: api, host_api_url: host.url, ...task.project };
  const pod = await podRun({ repo_url: http.hostUrl, ...task, project });
  closing.push(pod.close);
  Object.assign(pod.environment, { MYZEL_GIT_PASSWORD: TOKEN, MYZEL_CHECKS_WAIT_SECONDS: "3" });
  const end = await pod.phase("checkout");
  assert.equal(end.exitCode, 0, end.stderr);
  return pod;
}

/** A merge of `feature` by the host. */
export const mergeRun = (api: Api, host: { url: string }, task: PodTask = {}): Promise<PodRun> =>
  runOf(api, host, { branch: "feature", options: { kind: "merge", merge_branch: "feature" }, ...task });

/** The engine's next attempt, after an infrastructure failure. */
export async function nextAttempt(pod: PodRun): Promise<PodRun> {
  await pod.db.settle(pod.taskId, { action: "requeue", success: false, failure_code: "lost", retry_after_seconds: 0 });
  await pod.db.claimAll();
  await pod.db.pool.query("update runs set project = 'project' where finished_at is null");
  const next = await asPod(pod.db, pod.taskId);
  closing.push(() => rmSync(next.directory, { recursive: true, force: true }));
  Object.assign(next.environment, { MYZEL_GIT_PASSWORD: TOKEN, MYZEL_CHECKS_WAIT_SECONDS: "3" });
  return next;
}

/** Publishes and returns the final report. */
export async function published(pod: PodRun): Promise<Report> {
  pod.outcome({ summary: "Did it.\n/merge @everybody" });
  const end = await pod.phase("publish");
  assert.equal(end.exitCode, 0, end.stderr);
  const stored = await pod.stored();
  assert.ok(stored.report);
  assert.ok(!JSON.stringify(stored).includes(TOKEN), "the token is in no report");
  return stored.report;
}

/** Commits as the agent. */
export function commit(pod: PodRun, files: Record<string, string>, message: string): string {
  pod.write(files);
  pod.git("add", "--all");
  pod.git("commit", "--quiet", "--message", message);
  return pod.git("rev-parse", "HEAD");
}
