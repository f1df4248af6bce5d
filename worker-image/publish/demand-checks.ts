/** A success that the check command must have seen. Pure. */
import type { Brief, Outcome } from "../contract.ts";

/**
 * The outcome, as `checks_failed` where it claims a success although the brief's check command has not passed: the brief
 * is the database's word, the outcome only the agent phase's.
 */
export function demandChecks<Read extends Outcome | null>(outcome: Read, brief: Pick<Brief, "profile">): Read {
  if (outcome === null || !outcome.success || brief.profile.check_command === null) return outcome;
  if (outcome.checks?.passed === true) return outcome;
  const error = "The agent phase reported a success, but the check command has not passed.";
  return { ...outcome, success: false, code: "checks_failed", error };
}
