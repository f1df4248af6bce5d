/** What each failure code means for the task: pure data, the one place that sorts them. */
import type { FailureCode } from "../../worker-image/contract.ts";

/**
 * `infrastructure`: the run is repeated by itself, up to a limit.
 * `waiting`: the task goes back untouched until the cause is gone.
 * `final`: the task ends; whether it is tried again is Green's decision.
 */
export type FailureKind = "infrastructure" | "waiting" | "final";

export const FAILURE_KINDS: Record<FailureCode, FailureKind> = {
  launch_failed: "infrastructure",
  image_pull_failed: "infrastructure",
  evicted: "infrastructure",
  node_lost: "infrastructure",
  job_deleted: "infrastructure",
  lost: "infrastructure",
  api_overloaded: "waiting",
  usage_limit: "waiting",
  agent_error: "final",
  max_turns: "final",
  cost_limit: "final",
  deadline_exceeded: "final",
  oom_killed: "final",
  hung: "final",
  auth_failed: "final",
  cost_guard: "final",
  pod_refused: "final",
  checkout_failed: "final",
  checks_failed: "final",
  push_rejected: "final",
  secret_leaked: "final",
  no_report: "final",
  stopped: "final",
};
