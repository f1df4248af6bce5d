/** The tasks of an epic as a tree: who created what. */
import type { EpicTask } from "../../store/epics.ts";

export interface TreeLine {
  task: EpicTask;
  /** What stands before its id: `├─ `, `│  └─ `. */
  prefix: string;
}

/** Deeper ones stand at this depth: a line has to fit on a screen. */
const DEEPEST = 6;

/**
 * Oldest first, each followed by what it created. Turns of the epic's own Green stand side by side; those of another
 * Green stand below the task that called it. Nothing is left out, whatever the rows say of their parents.
 */
export function treeOf(tasks: readonly EpicTask[]): TreeLine[] {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  const children = new Map<string | null, EpicTask[]>();
  for (const task of tasks) {
    const parent = parentOf(task, tasks);
    const known = parent !== null && byId.has(parent) && parent !== task.id ? parent : null;
    children.set(known, [...(children.get(known) ?? []), task]);
  }
  const lines: TreeLine[] = [];
  const seen = new Set<string>();
  const walk = (task: EpicTask, prefix: string, below: string, depth: number) => {
    if (seen.has(task.id)) return;
    seen.add(task.id);
    lines.push({ task, prefix });
    const those = children.get(task.id) ?? [];
    those.forEach((child, at) => {
      const last = at === those.length - 1;
      if (depth >= DEEPEST) walk(child, prefix, below, depth);
      else walk(child, `${below}${last ? "└─ " : "├─ "}`, `${below}${last ? "   " : "│  "}`, depth + 1);
    });
  };
  for (const task of children.get(null) ?? []) walk(task, "", "", 0);
  for (const task of tasks) walk(task, "", "", 0); // parents in a circle
  return lines;
}

/** A wake-up was created by nobody in the epic. */
function parentOf(task: EpicTask, tasks: readonly EpicTask[]): string | null {
  if (task.kind !== "wake_up") return task.parent_id;
  const called = tasks.find((other) => other.addressee === task.addressee && other.kind !== "wake_up");
  return called === undefined || called.id === task.epic ? null : called.id;
}
