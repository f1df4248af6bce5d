/** What the agents of the fault suite's epics leave in their outbox, decided from the seed and the job's name alone. Pure. */
import type { FinishEpic, OutboxTask } from "../../worker-image/contract.ts";
import { seededRandom } from "./random.ts";
import type { Random } from "./random.ts";

export interface Outbox {
  tasks: OutboxTask[];
  finish_epic: FinishEpic | null;
}

const NEXT_STEPS = { create: 68, finish: 12, give_up: 4, nothing: 12, create_and_finish: 4 } as const;
const ADDRESSEES = { own: 45, serial: 8, limited: 5, lead: 8, sub: 10, person: 12, merge: 12 } as const;
/** Of the product's outbox as it is when the agent says nothing else. */
const PLAIN: Omit<OutboxTask, "prompt"> = {
  addressee: null,
  repo_url: null,
  branch: null,
  base_branch: null,
  kind: null,
  step: null,
  paths: null,
  wake: "each",
  pull_request: false,
};

/** By these words the suite finds again which child of which run a task is: `child of RUN N.` */
export const CHILD_MARK = /child of ([0-9a-f-]{36} \d+)\./;

/** @param job `instance`: a job of the same name that is launched again after it was removed is another one */
export function outboxOf(job: {
  seed: string;
  jobName: string;
  instance: number;
  addressee: string;
  runId: string;
}): Outbox {
  const random = seededRandom(`${job.seed} ${job.jobName} ${job.instance} outbox`);
  const child = (more: Partial<OutboxTask>, place: number): OutboxTask => ({
    ...PLAIN,
    ...more,
    prompt: `child of ${job.runId} ${place}. Do it.`,
  });
  if (job.addressee.startsWith("lead-")) {
    const count = random.chance(0.5) ? random.between(1, 2) : 0;
    return { tasks: Array.from({ length: count }, (_, place) => child({}, place)), finish_epic: null };
  }
  if (!job.addressee.startsWith("project-mgr-")) return { tasks: [], finish_epic: null };
  const next = random.weighted(NEXT_STEPS);
  const together = random.chance(0.5);
  const count = next === "create" || next === "create_and_finish" ? random.between(1, 4) : 0;
  const tasks = Array.from({ length: count }, (_, place) => {
    const wake = together === random.chance(0.9) ? "last" : "each";
    return child({ ...plannedTask(random), wake, step: random.pick(["one", "two", null]) }, place);
  });
  const finishes = next === "finish" || next === "create_and_finish" || next === "give_up";
  return { tasks, finish_epic: finishes ? { success: next !== "give_up", summary: `as ${job.runId} says` } : null };
}

function plannedTask(random: Random): Partial<OutboxTask> {
  switch (random.weighted(ADDRESSEES)) {
    case "own":
      return {
        kind: "implement",
        paths: random.chance(0.3) ? [random.pick(["src/", "src/web", "docs/*.md"])] : null,
        base_branch: random.chance(0.05) ? "no..branch" : null,
      };
    case "serial":
      return { addressee: `serial-${random.between(1, 6)}` };
    case "limited":
      return { addressee: "limited-1" };
    case "lead":
      return { addressee: `lead-${random.between(1, 3)}` };
    case "sub":
      return { addressee: `project-mgr-sub-${random.between(1, 2)}` };
    case "person":
      return { kind: "question", addressee: "blue" };
    case "merge":
      return { kind: "merge", branch: random.chance(0.8) ? "myzel/work" : null };
  }
}
