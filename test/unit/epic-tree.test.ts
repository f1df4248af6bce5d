/** The tasks of an epic as a tree: everything once, whatever the rows say of their parents. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { treeOf } from "../../engine/cli/epic/epic-tree.ts";
import type { EpicTask } from "../../engine/store/epics.ts";

/** Id, parent, and what else is to be different. */
function task(id: string, parent: string | null, rest: Partial<EpicTask> = {}): EpicTask {
  return {
    epic: "root",
    id,
    parent_id: parent,
    depth: 0,
    kind: null,
    step: null,
    addressee: "worker",
    status: "pending",
    branch: null,
    prompt: id,
    created_by: null,
    created_at: new Date(0),
    started_at: null,
    completed_at: null,
    success: null,
    code: null,
    cost_usd: 0,
    runs: 0,
    ...rest,
  };
}

const shape = (tasks: readonly EpicTask[]) => treeOf(tasks).map(({ task: { id }, prefix }) => `${prefix}${id}`);

describe("the tree of an epic's tasks", () => {
  it("puts what a task created below it, oldest first", () => {
    const tasks = [
      task("root", null, { addressee: "green" }),
      task("a", "root"),
      task("b", "root"),
      task("a1", "a"),
      task("a2", "a"),
      task("b1", "b"),
    ];
    assert.deepEqual(shape(tasks), ["root", "├─ a", "│  ├─ a1", "│  └─ a2", "└─ b", "   └─ b1"]);
  });

  it("turns of the epic's Green stand side by side, those of another below the task that called it", () => {
    const woken = { kind: "wake_up" };
    const tasks = [
      task("root", null, { addressee: "green" }),
      task("sub", "root", { addressee: "other" }),
      task("turn", null, { addressee: "green", ...woken }),
      task("sub-turn", null, { addressee: "other", ...woken }),
      task("x", "turn"),
      task("y", "sub-turn"),
      task("lost", null, { addressee: "nobody", ...woken }),
    ];
    assert.deepEqual(shape(tasks), ["root", "└─ sub", "   └─ sub-turn", "      └─ y", "turn", "└─ x", "lost"]);
  });

  it("leaves nothing out: parents that are gone or in a circle, chains without end", () => {
    assert.deepEqual(shape([task("a", "gone"), task("b", "b"), task("c", "d"), task("d", "c")]), [
      "a",
      "b",
      "c",
      "└─ d",
    ]);
    const chain = Array.from({ length: 2_000 }, (_, at) => task(`t${at}`, at === 0 ? null : `t${at - 1}`));
    const lines = treeOf(chain);
    assert.deepEqual(
      lines.map((line) => line.task.id),
      chain.map((one) => one.id),
    );
    assert.ok(Math.max(...lines.map((line) => line.prefix.length)) <= 18);
  });
});
