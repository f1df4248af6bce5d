/** Whether a pull request may be merged now, from what its host says of it. Pure. */
import type { FailureCode } from "../contract.ts";
import type { Check, CodeHost, PullRequest } from "../hosts/host.ts";

export interface Seen {
  pull: PullRequest;
  checks: readonly Check[];
  /** The commit that is to be merged, and no other. */
  sha: string;
  waitedMs: number;
  /** How long checks are waited for. */
  limitMs: number;
  /** How long a host may take to notice a push and to begin its checks. */
  graceMs: number;
  words: Pick<CodeHost, "name" | "noun">;
}

export interface MergeFailure {
  code: Extract<FailureCode, "checks_failed" | "push_rejected">;
  error: string;
  /** Longer words; null where there are none. */
  logs: string | null;
}

export type MergeVerdict =
  | { kind: "merge" }
  | { kind: "merged" }
  | { kind: "wait" }
  | { kind: "failed"; failure: MergeFailure };

const MAX_NAMED = 5;
const WAIT = { kind: "wait" } as const;

/** The first that fits. */
export function judgeMerge(seen: Seen): MergeVerdict {
  const { pull, checks, sha, waitedMs, limitMs, graceMs, words } = seen;
  const noun = `${words.noun} ${pull.url}`;
  if (pull.state === "merged") return { kind: "merged" };
  if (pull.state === "closed") return rejected(`The ${noun} was closed meanwhile, so it was not merged.`);
  if (pull.headSha !== sha) {
    if (waitedMs < graceMs) return WAIT;
    return rejected(
      `The branch of the ${noun} has moved meanwhile, from ${sha.slice(0, 12)} to ${pull.headSha.slice(0, 12)}; it was not merged.`,
    );
  }
  if (pull.conflicts === true) return rejected(`The ${noun} conflicts with its target; it was not merged.`);
  const failed = checks.filter(({ state }) => state === "failed");
  if (failed.length > 0) return checksFailed(`Checks of the ${noun} failed`, failed);
  const running = checks.filter(({ state }) => state === "running");
  if (waitedMs < limitMs) {
    if (running.length > 0 || pull.conflicts === null) return WAIT;
    // Those that are green may be the first of more.
    if (waitedMs < graceMs) return WAIT;
  }
  if (running.length === 0) return { kind: "merge" };
  return checksFailed(`After ${minutes(limitMs)} checks of the ${noun} were still running`, running);
}

/** A check's name comes from outside: one line, and not long. */
function checksFailed(what: string, checks: readonly Check[]): MergeVerdict {
  const named = checks.slice(0, MAX_NAMED).map(({ name }) => oneLine(name));
  const more = checks.length > MAX_NAMED ? ` and ${checks.length - MAX_NAMED} more` : "";
  const logs = checks.map(({ name, url, state }) => `${oneLine(name)}: ${state}${url === null ? "" : ` ${url}`}`);
  const failure = { code: "checks_failed", error: `${what}: ${named.join(", ")}${more}.` } as const;
  return { kind: "failed", failure: { ...failure, logs: `${logs.join("\n")}\n` } };
}

function rejected(error: string): MergeVerdict {
  return { kind: "failed", failure: { code: "push_rejected", error, logs: null } };
}

function oneLine(name: string): string {
  return name.replace(/[\p{Cc}\s]+/gu, " ").slice(0, 100);
}

function minutes(ms: number): string {
  return ms < 120_000 ? `${Math.round(ms / 1000)} seconds` : `${Math.round(ms / 60_000)} minutes`;
}
