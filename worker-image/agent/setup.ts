/** The setup command before the agent: makes the work tree fit to be worked in, such as by installing what it needs. */
import type { BriefProfile } from "../contract.ts";
import type { CommandEnd } from "./command.ts";
import type { Verdict } from "./judge.ts";

/**
 * What the setup's end means; null: the agent begins. Pure.
 *
 * A failure is `agent_error`, for the agent phase did not finish: `checks_failed` would be a word about work that
 * there is none of (and might be pushed), `checkout_failed` is checkout's.
 */
export function judgeSetup(setup: CommandEnd, profile: BriefProfile): Verdict | null {
  if (setup.passed) return null;
  if (setup.endedBy === "stopped") return failure("stopped", "The run was stopped.");
  if (setup.endedBy === "deadline") {
    const limit = profile.time_limit_seconds;
    return failure("deadline_exceeded", `The setup command did not end within the time limit of ${limit} seconds.`);
  }
  return failure("agent_error", `The setup command failed (${setup.how}), so the agent was not started.`);
}

function failure(code: NonNullable<Verdict["code"]>, error: string): Verdict {
  return { success: false, code, error, resetsAt: null };
}
