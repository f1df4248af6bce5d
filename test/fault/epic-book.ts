/** What the witness saw of epics, by its keys, and how an epic was at a place of the history. Pure. */
import type { EpicEvent, EpicHistory, EpicState, EpicTask } from "./epic-witness.ts";

/** What is ended or told by two transactions at once comes in either order: this long the checks look away. */
const SLACK_MS = 1_500;

/** The history by its keys. */
export interface EpicBook {
  statesOf: ReadonlyMap<string, EpicState[]>;
  tasks: ReadonlyMap<string, EpicTask>;
  tasksOf: ReadonlyMap<string, EpicTask[]>;
  /** Of a task. */
  eventsOf: ReadonlyMap<string, EpicEvent[]>;
}

/** The same, by its keys. */
export function bookOf({ states, tasks, events }: EpicHistory): EpicBook {
  return {
    statesOf: new Map([...Map.groupBy(states, (state) => state.epic)].map(([epic, all]) => [epic, begun(all)])),
    tasks: new Map(tasks.map((task) => [task.task, task])),
    tasksOf: Map.groupBy(tasks, (task) => task.epic),
    eventsOf: Map.groupBy(events, (event) => event.task),
  };
}

/** From the end of its first transaction on: until then its limits are the table's defaults. */
function begun(states: readonly EpicState[]): EpicState[] {
  const first = states[0]?.xact;
  return states.slice(states.findLastIndex((state) => state.xact === first));
}

/** How the epic was just before; undefined: it had not begun. */
export function stateBefore(book: EpicBook, epic: string, seq: number): EpicState | undefined {
  return (book.statesOf.get(epic) ?? []).findLast((state) => state.seq < seq);
}

/** The first state in which it is not active any more, after it was at this place of the history. */
export function endAfter(book: EpicBook, epic: string, seq: number): EpicState | undefined {
  return (book.statesOf.get(epic) ?? []).find((state) => state.seq > seq && state.state !== "active");
}

/** It was active then, and did not end at about the same time. */
export function surelyActive(book: EpicBook, epic: string, { seq, at, xact }: EpicEvent): boolean {
  if (stateBefore(book, epic, seq)?.state !== "active") return false;
  const end = endAfter(book, epic, seq);
  return end === undefined || (end.xact !== xact && end.at > at + SLACK_MS);
}
