/**
 * When a run whose log has fallen silent is called hung. Pure: no I/O, no clock.
 *
 * The agent phase has a watchdog of its own, and prints a sign of life every two minutes. So it is silent only where
 * the phase itself, its container or its node hangs; and then nobody inside can say so.
 */
import type { FailureCode, Phase } from "../../worker-image/contract.ts";
import type { Observation } from "./job.ts";

/** What is known of a followed run without asking anybody. */
export interface FollowedSilence {
  /** Since its last line, on a clock that stands still while the machine sleeps. */
  silentMs: number;
  /** The profile's `silence_limit`. */
  limitMs: number;
}

/** What the watchdog inside, a late sign of life and a slow connection may take on top of the limit. */
export const SILENCE_MARGIN_MS = 5 * 60_000;

/** Whether it is worth looking at once more. */
export function isSuspect({ silentMs, limitMs }: FollowedSilence, marginMs: number = SILENCE_MARGIN_MS): boolean {
  return silentMs > limitMs + marginMs;
}

/** What a fresh look at a suspect found. */
export interface FreshLook {
  /** Its log, read over a new connection: something new, nothing, or it could not be read. */
  log: "spoke" | "silent" | "unreadable";
  /** The phase that said the last line; null: not known. */
  lastPhase: Phase | null;
  /** Of the launcher; undefined: there is no such job. */
  observation: Pick<Observation, "state" | "phase"> | undefined;
}

/**
 * `hung`: to be ended. `alive`: its silence begins anew. `unknown`: a log that cannot be read proves nothing; to be
 * looked at again later. Only an agent is called hung: checkout and publish may be silent for long, and have the
 * deadline of the run.
 */
export function judgeSilence({ log, lastPhase, observation }: FreshLook): "hung" | "alive" | "unknown" {
  if (log === "spoke") return "alive";
  if (log === "unreadable") return "unknown";
  if (observation?.state !== "running" || observation.phase !== "agent") return "alive";
  // What was silent so far may have been the phase before.
  return lastPhase === "agent" ? "hung" : "alive";
}

/** What is settled of a hung run. */
export function hungFailure({ silentMs, limitMs }: FollowedSilence): { code: FailureCode; error: string } {
  const minutes = Math.floor(silentMs / 60_000);
  const said = minutes > 0 ? `${minutes} minutes` : `${Math.floor(silentMs / 1000)} seconds`;
  return {
    code: "hung",
    error: `The agent phase printed nothing for ${said}, not even a sign of life (its limit is ${Math.floor(limitMs / 1000)} seconds): it hangs, or its machine does, and was ended.`,
  };
}
