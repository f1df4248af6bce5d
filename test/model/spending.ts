/** What runs have used of their days and epics. Pure. */
import { endEpic } from "./epic-ends.ts";
import type { DaySpend, Model, ModelEpic } from "./model.ts";

/** What one run has used, as its settle says it. */
export interface Used {
  tokens: number;
  cents: number;
}

/** In cents, of this project, '': of everything. */
export function spentToday(model: Model, project: string): number {
  const day = dayOf(model.now);
  return model.days.find((spend) => spend.project === project && spend.day === day)?.cents ?? 0;
}

/** Counts a run to the day on which it ended: of its project, and of everything unless it cost nothing and has none. */
export function spendOnDay(model: Model, project: string | null, used: Used): void {
  if (project === null && used.cents === 0) return;
  for (const name of project === null ? [""] : ["", project]) {
    const spend = daySpend(model, name);
    spend.runs += 1;
    spend.tokens += used.tokens;
    spend.cents += used.cents;
  }
}

function daySpend(model: Model, project: string): DaySpend {
  const day = dayOf(model.now);
  const known = model.days.find((spend) => spend.project === project && spend.day === day);
  if (known !== undefined) return known;
  const spend = { project, day, runs: 0, tokens: 0, cents: 0 };
  model.days.push(spend);
  return spend;
}

/** In UTC. */
function dayOf(now: number): string {
  return new Date(now).toISOString().slice(0, 10);
}

/** Ends the epic with the first limit that it has used up, and whatever of it runs. */
export function endIfExhausted(model: Model, epic: ModelEpic): void {
  if (epic.state !== "active") return;
  const { limits } = epic;
  const reached = [
    ["max_cost_usd", limits.cents !== null && epic.cents >= limits.cents],
    ["max_tokens", limits.tokens !== null && epic.tokens >= limits.tokens],
    ["max_runs", epic.runs >= limits.runs],
    ["max_wall_time", epic.startedAt !== null && epic.startedAt + limits.wallMs <= model.now],
  ] as const;
  const limit = reached.find(([, used]) => used);
  if (limit !== undefined) endEpic(model, epic, { state: "failed", code: limit[0], stopRunning: true });
}
