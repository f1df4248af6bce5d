/** Why a job ended that left no report: the first reason that fits, the most certain first. Pure. */
import { EXIT } from "../../worker-image/contract.ts";
import type { FailureCode } from "../../worker-image/contract.ts";
import type { JobEnd, PhaseEnd } from "./job.ts";

/** @param stopReason null: nobody asked the run to stop */
export function judgeWithoutReport(end: JobEnd, stopReason: string | null): { code: FailureCode; error: string } {
  const last = end.phases.at(-1);
  if (end.stopped || stopReason !== null) return { code: "stopped", error: stopReason ?? "Stopped." };
  if (end.deadlineExceeded) {
    return { code: "deadline_exceeded", error: `The run passed its deadline in ${last?.phase ?? "its first phase"}.` };
  }
  if (end.infrastructure) return end.infrastructure;
  if (end.outOfMemory) return { code: "oom_killed", error: "The run used more memory than it may." };
  if (end.gone === "deleted") return { code: "job_deleted", error: "The job was deleted while it ran." };
  if (end.gone === "vanished") return { code: "lost", error: "The job's host or supervisor died." };
  if (last === undefined) return { code: "lost", error: "The job ended before its first phase." };
  return judgePhase(last);
}

/** The job ended by itself with this phase as the last one. */
function judgePhase(last: PhaseEnd): { code: FailureCode; error: string } {
  const said = (fallback: string) => last.message ?? fallback;
  const how = last.exitCode === null ? `signal ${last.signal ?? "unknown"}` : `exit code ${last.exitCode}`;
  if (last.phase === "checkout") {
    switch (last.exitCode) {
      case EXIT.checkoutFailed:
        return { code: "checkout_failed", error: said("The repository or branch could not be had.") };
      case EXIT.databaseUnreachable:
        return { code: "launch_failed", error: said("checkout could not reach the database.") };
      case EXIT.fenced:
        return { code: "lost", error: said("The run was bound to another pod.") };
      default:
        return { code: "launch_failed", error: said(`checkout ended with ${how}.`) };
    }
  }
  if (last.phase === "agent") {
    switch (last.exitCode) {
      case EXIT.costGuard:
        return { code: "cost_guard", error: said("Something would have billed the API instead of the subscription.") };
      case EXIT.noCredential:
        return { code: "auth_failed", error: said("No Claude credential was given.") };
      case EXIT.ok:
        return { code: "lost", error: "The job ended between the agent and publish." };
      default:
        return { code: "no_report", error: said(`The agent phase ended with ${how} and left no outcome.`) };
    }
  }
  switch (last.exitCode) {
    case EXIT.fenced:
      return { code: "lost", error: said("publish was turned away: the run was bound to another pod.") };
    case EXIT.reportSpooled:
      return { code: "lost", error: said("publish could not reach the database, and its report is gone.") };
    default:
      return { code: "no_report", error: said(`publish ended with ${how} and left no report.`) };
  }
}
