/** What becomes of a job of the stand-in launcher, decided from the seed and its name alone. Pure. */
import { seededRandom } from "./random.ts";

/** Every way in which a job may end: all of JobEnd, and jobs that leave no trace. */
export type Ending =
  | "success"
  | "agent_error"
  | "api_overloaded"
  | "usage_limit"
  /** The report is left with the launcher instead of the database. */
  | "spooled"
  | "no_report"
  | "out_of_memory"
  | "deadline"
  | "checkout_failed"
  /** Its host dies while it works: the launcher still knows its name. */
  | "vanished"
  /** Somebody deletes it while it works: the launcher knows nothing of it any more. */
  | "deleted"
  /** The same, after its report was stored. */
  | "deleted_after_report";

export interface Fate {
  /** `answer_lost`: the job starts, and the engine's connection breaks before it is told. */
  launch: "started" | "launch_failed" | "image_pull_failed" | "answer_lost";
  launchMs: number;
  startMs: number;
  workMs: number;
  /** Between the report and the end of the job. */
  lingerMs: number;
  stopMs: number;
  ending: Ending;
  costUsd: number;
  tokens: number;
}

const LAUNCHES = { started: 965, launch_failed: 10, image_pull_failed: 5, answer_lost: 20 } as const;
const ENDINGS: Record<Ending, number> = {
  success: 820,
  agent_error: 40,
  api_overloaded: 0,
  usage_limit: 0,
  spooled: 30,
  no_report: 15,
  out_of_memory: 10,
  deadline: 10,
  checkout_failed: 10,
  vanished: 10,
  deleted: 10,
  deleted_after_report: 15,
};
/** Behind a credential of their own, so that a limit or an overload does not stop everybody. */
const LIMITED = { ...ENDINGS, usage_limit: 60, api_overloaded: 20 };

/** Whose work is mostly an epic's, and so is counted in its limits. */
const COSTS = /^(project-mgr|worker|lead)-/;

/** @param instance a job of the same name that is launched again after it was removed is another one */
export function fateOf(job: { seed: string; jobName: string; addressee: string; instance: number }): Fate {
  const random = seededRandom(`${job.seed} ${job.jobName} ${job.instance}`);
  return {
    launch: random.weighted(LAUNCHES),
    launchMs: random.chance(0.05) ? random.between(100, 800) : random.between(0, 5),
    startMs: random.between(0, 20),
    workMs: random.chance(0.02) ? random.between(200, 1500) : random.between(2, 100),
    lingerMs: random.chance(0.3) ? random.between(1, 50) : 0,
    stopMs: random.between(0, 100),
    ending: random.weighted(job.addressee.startsWith("limited-") ? LIMITED : ENDINGS),
    ...(COSTS.test(job.addressee)
      ? { costUsd: random.between(0, 50) / 100, tokens: random.between(0, 1_000) }
      : { costUsd: 0, tokens: 0 }),
  };
}
