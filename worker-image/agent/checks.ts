/** The check command at the end of the agent phase: lint, tests, whatever tells good work from bad. */
import type { BriefProfile } from "../contract.ts";
import type { CommandEnd } from "./command.ts";
import type { Verdict } from "./judge.ts";

/** What the check's end means: a final verdict, or null where the agent gets another try. Pure. */
export function judgeCheck(check: CommandEnd, profile: BriefProfile, tries: number): Verdict | null {
  if (check.endedBy === "stopped") return failure("stopped", "The run was stopped.");
  if (check.endedBy === "deadline") {
    const limit = profile.time_limit_seconds;
    return failure("deadline_exceeded", `The check command did not end within the time limit of ${limit} seconds.`);
  }
  if (check.passed) return { success: true, code: null, error: null, resetsAt: null };
  return tries > profile.check_tries ? checksFailed(tries) : null;
}

/** The verdict after so many tries, none of which passed. */
export function checksFailed(tries: number): Verdict {
  return failure("checks_failed", `The check command failed, ${tries === 1 ? "once" : `the last of ${tries} times`}.`);
}

function failure(code: NonNullable<Verdict["code"]>, error: string): Verdict {
  return { success: false, code, error, resetsAt: null };
}
