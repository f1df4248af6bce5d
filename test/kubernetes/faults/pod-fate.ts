/** How the life of a run's pod goes, decided from the seed and its Job's name alone. Pure. */
import { seededRandom } from "../../fault/random.ts";
import type { Step } from "../support/auto-kubelet.ts";
import { evicted, failed, oomKilled, running, succeeded, type Moment } from "../support/pod-moments.ts";

/** What its publish reports; null: it crashes before it could. */
export type Reported = "success" | "agent_error" | null;

const ENDINGS = {
  success: 84,
  agent_error: 4,
  /** publish crashes. */
  no_report: 3,
  out_of_memory: 3,
  evicted: 3,
  /** The report is stored, then the node ends the pod. */
  evicted_after_report: 3,
} as const;
type Ending = keyof typeof ENDINGS;

export interface PodFate {
  readonly reported: Reported;
  readonly steps: readonly Step[];
}

export function podFate(seed: string, jobName: string): PodFate {
  const random = seededRandom(`${seed} ${jobName}`);
  const ending = random.weighted(ENDINGS);
  const workMs = random.chance(0.1) ? random.between(500, 2_500) : random.between(0, 300);
  const lingerMs = random.chance(0.3) ? random.between(1, 500) : 0;
  const begun = [step(0, running("checkout")), step(random.between(0, 50), running("agent"))];
  if (ending === "out_of_memory") return { reported: null, steps: [...begun, step(workMs, oomKilled("agent"))] };
  if (ending === "evicted") return { reported: null, steps: [...begun, step(workMs, evicted("agent"))] };
  const published = step(workMs, running("publish"));
  return { reported: reportOf(ending), steps: [...begun, published, step(lingerMs, endOf(ending))] };
}

function reportOf(ending: Ending): Reported {
  if (ending === "no_report") return null;
  return ending === "agent_error" ? "agent_error" : "success";
}

function endOf(ending: Ending): Moment {
  if (ending === "no_report") return failed("publish", 1);
  return ending === "evicted_after_report" ? evicted("publish") : succeeded();
}

function step(afterMs: number, moment: Moment): Step {
  return { afterMs, moment };
}
