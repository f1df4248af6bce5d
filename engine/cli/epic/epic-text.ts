/** Epics in words for people. */
import type { EpicOverview, EpicRow, EpicTask, ShownEpic } from "../../store/epics.ts";
import {
  beginning,
  duration,
  facts,
  firstLine,
  indented,
  localTime,
  money,
  oneLine,
  shortId,
  table,
} from "../terminal/terminal-text.ts";
import { treeOf } from "./epic-tree.ts";
import type { TreeLine } from "./epic-tree.ts";

const GOAL_LINES = 12;
const NOTES = 5;

/** The list of `myzel epic list`, at most `columns` wide. */
export function epicTable(epics: readonly EpicOverview[], columns: number, now = new Date()): string {
  const rows = epics.map((epic) => [
    shortId(epic.id),
    epic.state === "failed" ? `failed ${oneLine(epic.end_code ?? "", 24)}`.trim() : epic.state,
    oneLine(epic.project ?? "", 20),
    duration((epic.ended_at ?? now).getTime() - epic.created_at.getTime()),
    `${epic.completed} of ${allTasks(epic)}`,
    String(epic.running),
    money(epic.cost_usd),
    oneLine(epic.title, 200),
    oneLine(epic.waits_for ?? epic.summary ?? "", 200),
  ]);
  const headings = ["ID", "STATE", "PROJECT", "AGE", "DONE", "LIVE", "COST", "TITLE", "WAITS FOR, OR HOW IT ENDED"];
  return table(headings, fitted(headings, rows, columns));
}

/** Everything about one epic, at most `columns` wide where that is possible. */
export function epicText(epic: ShownEpic, columns: number, now = new Date()): string {
  const parts = [`Epic ${epic.id}`, heading(epic, now)];
  if (epic.prompt !== null && oneLine(epic.prompt) !== oneLine(epic.title))
    parts.push("", "Goal", beginning(epic.prompt, GOAL_LINES));
  parts.push(
    "",
    "Spent",
    spent(epic, now),
    "",
    `Tasks (${tasksDone(epic)})`,
    indented(taskTree(epic, columns - 2, now)),
  );
  const notes = epic.notes.slice(-NOTES).map((one) => `${localTime(one.at)}  ${oneLine(one.note, 300)}`);
  if (notes.length > 0) parts.push("", "Told to Green", indented(notes.join("\n")));
  if (epic.summary !== null) parts.push("", "How it ended", indented(epic.summary));
  return parts.join("\n");
}

/** `3 of 5 tasks done (1 failed), 2 running` */
export function tasksDone(epic: EpicOverview): string {
  const failed = epic.failed > 0 ? ` (${epic.failed} failed)` : "";
  return `${epic.completed} of ${allTasks(epic)} tasks done${failed}, ${epic.running} running`;
}

/** How it ended, and what it took. */
export function epicEnding(epic: EpicOverview): string {
  const summary = epic.summary === null ? "" : `\n${indented(epic.summary)}`;
  return `Epic ${epic.id} ${stateWords(epic)}: ${tasksDone(epic)}, ${money(epic.cost_usd)} at list price.${summary}`;
}

/** What was filed, or would be. */
export function filedFacts(epic: EpicRow, prompt: string): string {
  return facts([
    ["title", oneLine(epic.title, 100)],
    ["project", oneLine(epic.project ?? "none: nobody has added one for this repository")],
    ["Green", oneLine(epic.addressee)],
    ["repository", oneLine(epic.repo_url ?? "none (an empty directory)")],
    ["limits", limits(epic)],
    ["goal", firstLine(prompt, 80) === oneLine(epic.title, 100) ? null : firstLine(prompt, 80)],
  ]);
}

/** One task of it in a line, for `--watch` where there is no terminal. */
export function taskLine(task: EpicTask): string {
  const what = [task.kind, oneLine(task.addressee, 40), task.branch].filter(Boolean).map((part) => oneLine(part ?? ""));
  return `${shortId(task.id)} ${taskState(task)}: ${firstLine(task.prompt, 100)} (${what.join(", ")})`;
}

function heading(epic: ShownEpic, now: Date): string {
  const commit = epic.plan_commit === null ? "" : ` at ${oneLine(epic.plan_commit).slice(0, 10)}`;
  return facts([
    ["title", oneLine(epic.title)],
    ["state", stateSince(epic, now)],
    ["project", oneLine(epic.project ?? "")],
    ["Green", oneLine(epic.addressee)],
    ["repository", oneLine(epic.repo_url ?? "none (an empty directory)")],
    ["filed", `${localTime(epic.created_at)}${epic.created_by === null ? "" : ` by ${oneLine(epic.created_by)}`}`],
    ["plan", epic.plan_branch === null ? null : `.ai/plan.md on ${oneLine(epic.plan_branch)}${commit}`],
    ["waits for", oneLine(epic.waits_for ?? "")],
  ]);
}

function stateSince(epic: EpicOverview, now: Date): string {
  if (epic.ended_at === null) return `active for ${duration(now.getTime() - epic.created_at.getTime())}`;
  const ago = duration(now.getTime() - epic.ended_at.getTime());
  return `${stateWords(epic)} ${ago} ago, took ${duration(epic.ended_at.getTime() - epic.created_at.getTime())}`;
}

function stateWords(epic: EpicRow): string {
  const words = { active: "is active", finished: "finished", failed: "failed", stopped: "was stopped" }[epic.state];
  return epic.end_code === null || epic.end_code === epic.state ? words : `${words} (${oneLine(epic.end_code)})`;
}

function spent(epic: ShownEpic, now: Date): string {
  const begun = epic.started_at;
  return facts([
    [
      "tasks",
      `${epic.tasks} of ${epic.max_tasks} (at most ${epic.max_tasks_per_run} by one run, ${epic.max_depth} deep)`,
    ],
    ["runs", `${epic.runs} of ${epic.max_runs} (${epic.running} live, at most ${epic.max_live_runs})`],
    ["tokens", `${count(epic.tokens)} ${epic.max_tokens === null ? "(no limit)" : `of ${count(epic.max_tokens)}`}`],
    [
      "cost",
      `${money(epic.cost_usd)} ${epic.max_cost_usd === null ? "at list price (no limit)" : `of ${money(epic.max_cost_usd)} at list price`}`,
    ],
    [
      "wall time",
      begun === null
        ? `not begun (at most ${epic.max_wall_time})`
        : `${duration((epic.ended_at ?? now).getTime() - begun.getTime())} of ${epic.max_wall_time}`,
    ],
    ["failures", `at most ${epic.max_failures_in_a_row} in a row of one step`],
  ]);
}

function limits(epic: EpicRow): string {
  return [
    `${epic.max_tasks} tasks`,
    `${epic.max_runs} runs`,
    `${epic.max_live_runs} at a time`,
    `${epic.max_depth} deep`,
    `${epic.max_failures_in_a_row} failures in a row`,
    epic.max_tokens === null ? null : `${count(epic.max_tokens)} tokens`,
    epic.max_cost_usd === null ? null : money(epic.max_cost_usd),
    epic.max_wall_time,
  ]
    .filter((limit) => limit !== null)
    .join(", ");
}

function taskTree(epic: ShownEpic, columns: number, now: Date): string {
  const rows = treeOf(epic.task_list).map(({ task, prefix }: TreeLine) => [
    `${prefix}${shortId(task.id)}`,
    taskState(task),
    oneLine(task.kind ?? "", 12),
    oneLine(task.addressee, 24),
    oneLine(task.branch ?? "", 32),
    task.started_at === null ? "" : duration((task.completed_at ?? now).getTime() - task.started_at.getTime()),
    task.runs === 0 ? "" : money(task.cost_usd),
    firstLine(task.step === null ? task.prompt : `${task.step}: ${task.prompt}`, 200),
  ]);
  const headings = ["ID", "STATE", "KIND", "ADDRESSEE", "BRANCH", "TOOK", "COST", "PROMPT"];
  return table(headings, fitted(headings, rows, columns));
}

function taskState(task: EpicTask): string {
  if (task.status !== "completed") return task.status;
  return task.success === true ? "done" : `failed ${oneLine(task.code ?? "", 20)}`.trim();
}

/** The last column cut to what the others leave of the width. */
function fitted(headings: readonly string[], rows: readonly string[][], columns: number): string[][] {
  const others = headings
    .slice(0, -1)
    .map((name, at) => Math.max(name.length, ...rows.map((row) => [...(row[at] ?? "")].length)));
  const room = Math.max(24, columns - others.reduce((sum, width) => sum + width + 2, 0));
  return rows.map((row) => [...row.slice(0, -1), oneLine(row.at(-1) ?? "", room)]);
}

function allTasks(epic: EpicOverview): number {
  return epic.pending + epic.running + epic.completed;
}

function count(number: number): string {
  return number.toLocaleString("en-US");
}
