/** Which tools a run has: told to the MCP server by the agent phase, and held against the outbox by `publish`. Pure. */
import type { Brief, OutboxTask } from "../contract.ts";

export interface Offer {
  createTask: boolean;
  finishEpic: boolean;
  /** The addressee who answers; null: nobody is asked. */
  askHuman: string | null;
}

/** What the profile and the epic allow. */
export function offerOf(brief: Brief): Offer {
  const ofEpic = brief.profile.role === "green" ? brief.epic : null;
  return {
    createTask: brief.profile.may_create_tasks,
    finishEpic: ofEpic !== null,
    askHuman: ofEpic?.approver ?? null,
  };
}

/** Whether there is any tool to offer. */
export function offersAnything(offer: Offer): boolean {
  return offer.createTask || offer.finishEpic || offer.askHuman !== null;
}

/** Whether a run with this offer can have made the task: by `create_task`, or by `ask_human`. */
export function couldCreate(offer: Offer, task: OutboxTask): boolean {
  if (offer.createTask) return true;
  return offer.askHuman !== null && task.kind === "question" && task.addressee === offer.askHuman;
}
