/** Merges a pull request by its host, once the checks that decide are green. */
import { setTimeout as delay } from "node:timers/promises";
import { type CodeHost, HostError, type PullRequest } from "../hosts/host.ts";
import { judgeMerge, type MergeFailure } from "./judge-merge.ts";

export interface HostMerge {
  host: CodeHost;
  pull: PullRequest;
  target: string;
  /** The commit that is to be merged, and no other. */
  sha: string;
  /** How long checks are waited for. */
  limitMs: number;
  signal: AbortSignal;
}

export type MergeEnd = { merged: true; commit: string | null } | { merged: false; failure: MergeFailure };

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;
/** Of the limit: what a host gets to notice a push and to begin its checks; half a minute of a quarter of an hour. */
const GRACE_PART = 30;
/** A target that keeps moving is no longer waited for. */
const MAX_MERGES = 3;

/** Waits, judges and merges. Merged already is as good. @throws HostError */
export async function mergeOnHost(merge: HostMerge): Promise<MergeEnd> {
  const { host, target, sha, limitMs, signal } = merge;
  const begin = performance.now();
  let tries = 0;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 1.5, LONGEST_PAUSE_MS)) {
    const pull = await host.read(merge.pull.number);
    const checks = pull.state === "open" ? await host.checks(pull, target) : [];
    const waitedMs = performance.now() - begin;
    const verdict = judgeMerge({ pull, checks, sha, waitedMs, limitMs, graceMs: limitMs / GRACE_PART, words: host });
    if (verdict.kind === "failed") return { merged: false, failure: verdict.failure };
    if (verdict.kind === "merged") return { merged: true, commit: pull.mergeCommit };
    if (verdict.kind === "merge") {
      const end = await tryMerge(merge, pull, ++tries < MAX_MERGES);
      if (end !== null) return end;
    }
    await delay(Math.min(pauseMs, Math.max(100, limitMs - waitedMs)), undefined, { signal });
  }
}

/** null: look again and try once more. */
async function tryMerge(merge: HostMerge, pull: PullRequest, mayTryAgain: boolean): Promise<MergeEnd | null> {
  const { host, sha } = merge;
  try {
    return { merged: true, commit: await host.merge(pull, sha) };
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    // Nobody knows whether it was done; or only the target moved, which the next look shows.
    const passes = error.mayBeDone || /base branch was modified/i.test(error.said);
    if (passes && mayTryAgain) return null;
    const now = await host.read(pull.number);
    if (now.state === "merged") return { merged: true, commit: now.mergeCommit };
    const sentence = `The ${host.noun} ${pull.url} could not be merged: ${error.message}`;
    return { merged: false, failure: { code: "push_rejected", error: sentence, logs: null } };
  }
}
