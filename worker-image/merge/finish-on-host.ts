/**
 * What is left to do at the repository's host once the work is pushed: a pull request that the task asks for, or the
 * merge of one. May be repeated: what is open, is found; what is merged, is done.
 */
import type { Report } from "../contract.ts";
import { changedFiles } from "../git/new-commits.ts";
import { isAncestor } from "../git/private-repository.ts";
import { git } from "../git/run-git.ts";
import { findHost } from "../hosts/find-host.ts";
import { type Branches, type CodeHost, HostError, type PullRequest } from "../hosts/host.ts";
import { commonCommit, type RemoteCopy, tipOf, type Work } from "../publish/remote-copy.ts";
import { targetBranch } from "./branches.ts";
import { wantedOfHost } from "./demand-host.ts";
import { mergeOnHost } from "./merge-on-host.ts";
import { requestText } from "./request-text.ts";

export interface OnHost {
  work: Work;
  copy: RemoteCopy;
  environment: Readonly<Record<string, string | undefined>>;
  /** How long checks are waited for. */
  checksPatienceMs: number;
  /** What is sent to the host is masked by it. */
  mask: (text: string) => string;
  /** Stores what stands so far, for an attempt after a lost report. */
  announce: (report: Report) => Promise<void>;
}

/**
 * The report with what became of the pull request; the same where the task wants none. A failure keeps the branch that
 * was pushed. After a merge `branch` and `commit_sha` are the target's.
 */
export async function finishOnHost(given: OnHost, report: Report): Promise<Report> {
  const { brief } = given.work;
  const wanted = wantedOfHost(brief);
  if (!report.success || wanted === null) return report;
  const host = findHost(brief.host, given.copy.remote, {
    environment: given.environment,
    signal: given.work.localGit.signal,
    patienceMs: given.work.networkPatienceMs,
  });
  if ("problem" in host) return failed(report, host.problem);
  const target = targetBranch(brief, given.copy.state.defaultBranch);
  if (target === null) return failed(report, "The remote has no default branch, so there is nothing to merge into.");
  try {
    const branches = { source: given.copy.branch, target };
    return wanted === "merge"
      ? await merged(given, report, host, branches)
      : await proposed(given, report, host, branches);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    const what = wanted === "merge" ? "merged" : "proposed for a merge";
    return failed(report, `The branch "${given.copy.branch}" was not ${what}: ${error.message}`);
  }
}

/** Opens or finds the pull request. A branch that has nothing of its own gets none. */
async function proposed(given: OnHost, report: Report, host: CodeHost, branches: Branches): Promise<Report> {
  const head = report.commit_sha ?? (await tipOf(given.copy, branches.source));
  if (head === null || (await isIn(given, head, branches.target))) return report;
  const pull = await openOrFind(given, report, host, { ...branches, head });
  return { ...report, pull_request_url: pull.url };
}

async function merged(given: OnHost, report: Report, host: CodeHost, branches: Branches): Promise<Report> {
  const { copy } = given;
  const { source, target } = branches;
  const head = report.commit_sha ?? (await tipOf(copy, source));
  if (head === null || (await isIn(given, head, target))) {
    const last = await host.find(branches);
    if (last?.state === "merged") return afterMerge(given, report, { target, commit: last.mergeCommit, pull: last });
    if (head !== null) return { ...report, branch: target, commit_sha: await tipOf(copy, target) };
    return failed(report, `The branch "${source}" that is to be merged is no longer on the remote.`);
  }
  const pull = await openOrFind(given, report, host, { ...branches, head });
  const announced = { ...report, branch: source, commit_sha: head, pull_request_url: pull.url };
  await given.announce(announced);
  const limitMs = given.checksPatienceMs;
  const end = await mergeOnHost({ host, pull, target, sha: head, limitMs, signal: given.work.localGit.signal });
  if (end.merged) return afterMerge(given, announced, { target, commit: end.commit, pull });
  return { ...announced, success: false, ...end.failure, logs: end.failure.logs ?? report.logs };
}

async function openOrFind(
  { work, copy, mask }: OnHost,
  report: Report,
  host: CodeHost,
  { source, target, head }: Branches & { head: string },
): Promise<PullRequest> {
  const found = await host.find({ source, target });
  if (found?.state === "open") return found;
  const subject = (await git(copy.local, ["show", "--no-patch", "--format=%s", head])).trim();
  const text = requestText(work.brief, { ...report, summary: mask(report.summary ?? "") }, mask(subject));
  return host.open({ source, target }, text);
}

async function afterMerge(
  { copy }: OnHost,
  report: Report,
  { target, commit, pull }: { target: string; commit: string | null; pull: PullRequest },
): Promise<Report> {
  const head = report.commit_sha;
  const from = head === null ? null : await commonCommit(copy.local, await tipOf(copy, target), head);
  const files_changed = head === null || from === null ? [] : await changedFiles(copy.local, { from, to: head });
  return { ...report, branch: target, commit_sha: commit, files_changed, pull_request_url: pull.url };
}

/** Whether the target has the commit already. */
async function isIn({ copy }: OnHost, head: string, target: string): Promise<boolean> {
  const tip = await tipOf(copy, target);
  return tip !== null && (await isAncestor(copy.local, { ancestor: head, of: tip }));
}

function failed(report: Report, error: string): Report {
  return { ...report, success: false, code: "push_rejected", error };
}
