/** What is pushed of a run, and what its report says where that fails. Pure. */
import type { Brief, Outcome, Report } from "../contract.ts";
import { failedReport } from "../run-failure.ts";

/** Work is pushed if it succeeded, or failed nothing but its checks where the profile wants that too and it is no merge. */
export function mayPush(outcome: Outcome | null, brief: Pick<Brief, "profile" | "merge">): boolean {
  if (outcome === null) return false;
  const pushesFailing = brief.profile.push_failing_work && brief.merge === null;
  return outcome.success || (outcome.code === "checks_failed" && pushesFailing);
}

/**
 * What is reported before anything is pushed.
 * @param skipped checkout has found an earlier attempt's commit on the remote, so that no agent ran
 */
export function spokenReport(
  outcome: Outcome | null,
  outbox: Pick<Report, "tasks" | "finish_epic">,
  skipped: boolean,
): Report {
  return { ...failedReport(skipped ? SKIPPED : NO_REPORT), ...outcome, ...outbox };
}

const NO_REPORT = { code: "no_report", error: "The agent phase left no outcome that could be read." } as const;

/** Repeated: neither is the success of the earlier attempt lost, nor its work done again. */
const SKIPPED = {
  code: "lost",
  error: "The agent was skipped, for an earlier attempt's commit was on the remote; it was not found there once more.",
} as const;

/** Whether publish may find something that is neither pushed nor a secret. Without an agent there is nothing. */
export function leavesWork(report: Report): boolean {
  return !report.success && report.commit_sha === null && report.code !== "secret_leaked" && report.code !== "lost";
}

/** Where publishing failed. A run that had failed before keeps its own code: whether it is repeated hangs on that. */
export function failedToPublish(stands: Report, failure: Pick<Report, "code" | "error">): Report {
  if (stands.success || failure.code === "secret_leaked") return { ...stands, success: false, ...failure };
  return { ...stands, error: `${stands.error} Its work could not be pushed: ${failure.error}` };
}

/** Where nothing was to be pushed, and the remote could not be asked for what an earlier attempt announced. */
export function failedToAsk(spoken: Report, failure: Pick<Report, "error">): Report {
  return spoken.code === SKIPPED.code ? { ...spoken, error: `${spoken.error} ${failure.error}` } : spoken;
}

/** What is settled if the database goes before it could say what to push: the agent's failure, else that the run was lost. */
export function reportWithoutDatabase(outcome: Outcome | null): Report {
  if (outcome === null || outcome.success || outcome.code === "checks_failed") return failedReport(LOST);
  return spokenReport(outcome, { tasks: [], finish_epic: null }, false);
}

/** Nothing may be pushed then, so the run can be repeated. */
const LOST = {
  code: "lost",
  error: "The database could not be reached before the work was pushed, so nothing was pushed.",
} as const;
