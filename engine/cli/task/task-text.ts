/** Tasks, runs and results in words for people. */
import type { RunRow, ShownTask } from "../../store/show.ts";
import type { TaskRow } from "../../store/tasks.ts";
import {
  duration,
  facts,
  firstLine,
  indented,
  localTime,
  money,
  oneLine,
  plain,
  shortId,
  table,
} from "../terminal/terminal-text.ts";

type Result = Record<string, unknown>;

/** Fields of a result in the order in which people want them; others follow. */
const FIRST = ["success", "code", "error", "summary", "branch", "commit_sha", "pull_request_url", "files_changed"];

/** The list of `myzel tasks`, at most `columns` wide. */
export function taskTable(tasks: readonly TaskRow[], columns: number, now = new Date()): string {
  const rows = tasks.map((task) => [
    shortId(task.id),
    task.status,
    oneLine(task.addressee, 28),
    duration(now.getTime() - task.created_at.getTime()),
    firstLine(task.prompt, 200),
    shortResult(task.result),
  ]);
  const others = [0, 1, 2, 3].map((column) => Math.max(7, ...rows.map((row) => [...(row[column] ?? "")].length)));
  const room = columns - others.reduce((sum, width) => sum + width + 2, 0);
  const resultRoom = Math.min(40, Math.max(12, Math.floor(room / 2)));
  const fitted = rows.map((row) => [
    ...row.slice(0, 4),
    oneLine(row[4] ?? "", Math.max(16, room - resultRoom - 2)),
    oneLine(row[5] ?? "", resultRoom),
  ]);
  return table(["ID", "STATUS", "ADDRESSEE", "AGE", "PROMPT", "RESULT"], fitted);
}

/** One task as a line of `myzel tasks --watch`. */
export function taskLine(task: TaskRow): string {
  const result = task.result === null ? "" : `: ${oneLine(shortResult(task.result), 120)}`;
  return `${shortId(task.id)} ${task.status}, ${oneLine(task.addressee, 40)}: ${firstLine(task.prompt, 80)}${result}`;
}

/** Everything about one task but its transcript. */
export function taskText(task: ShownTask, now = new Date()): string {
  const parts = [
    `Task ${task.id}`,
    facts([
      ["status", statusText(task, now)],
      ["addressee", oneLine(task.addressee)],
      ["filed", `${localTime(task.created_at)}${task.created_by === null ? "" : ` by ${oneLine(task.created_by)}`}`],
      ["repository", task.repo_url === null ? "none (an empty directory)" : oneLine(task.repo_url)],
      ["branch", task.repo_url === null ? null : oneLine(task.branch ?? `myzel/${task.id}`)],
      ["base", task.options?.base_branch],
      ["profile", task.options?.profile],
      ["model", task.options?.model],
      ["effort", task.options?.effort],
      ["kind", oneLine(task.options?.kind ?? "")],
      ["epic", task.options?.epic],
      ["step", oneLine(task.options?.step ?? "")],
      ["paths", oneLine((task.options?.paths ?? []).join(", "), 200)],
      ["merges", oneLine(task.options?.merge_branch ?? "")],
      ["key", task.options?.idempotency_key],
      ["parent", task.parent_id],
      ["waits for", task.status === "pending" ? oneLine(task.why?.explanation ?? "") : null],
    ]),
    "",
    "Prompt",
    indented(task.prompt),
  ];
  if (task.runs.length > 0) parts.push("", "Runs", indented(runTable(task.runs, now)));
  if (task.result !== null) parts.push("", "Result", resultLines(task.result));
  return parts.join("\n");
}

/** A result as names and values; long texts below their names. */
export function resultLines(result: unknown): string {
  const known = (result ?? {}) as Result;
  const short: [string, string | null][] = [];
  const long: string[] = [];
  for (const name of new Set([...FIRST, ...Object.keys(known)])) {
    const value = known[name] ?? null;
    if (value === null || (Array.isArray(value) && value.length === 0)) continue;
    const shown = shownValue(name, known);
    const text = (Array.isArray(shown) ? shown.map(asText).join("\n") : asText(shown)).trimEnd();
    if (text.includes("\n") || text.length > 100) long.push(`  ${plain(name)}\n${indented(text, "    ")}`);
    else short.push([oneLine(name), oneLine(text)]);
  }
  return [facts(short), ...long].filter((part) => part !== "").join("\n");
}

function shownValue(name: string, known: Result): unknown {
  const value = known[name];
  if (name === "branch") return branchText(known);
  // As JSON has it: 0.0012000000000000001
  return name === "cost_usd" && typeof value === "number" ? money(value) : value;
}

/** A branch that only the name is given of may not be on the remote. */
function branchText({ branch, success, commit_sha }: Result): string {
  return `${asText(branch)}${success === true && (commit_sha ?? null) === null ? " (nothing new was committed)" : ""}`;
}

/** Success is what says so; an end by hand may say nothing. */
export function succeeded(result: unknown): boolean {
  return (result as { success?: unknown } | null)?.success === true;
}

function runTable(runs: readonly RunRow[], now: Date): string {
  const rows = runs.map((run) => [
    String(run.attempt),
    runState(run),
    localTime(run.started_at),
    duration((run.finished_at ?? now).getTime() - run.started_at.getTime()),
    run.turns === null ? "" : String(run.turns),
    run.cost_usd === null ? "" : `$${run.cost_usd.toFixed(4)}`,
    run.commit_sha?.slice(0, 10) ?? "",
    oneLine(run.error ?? run.pod_name ?? "", 100),
  ]);
  return table(["ATTEMPT", "STATE", "STARTED", "TOOK", "TURNS", "COST", "COMMIT", ""], rows);
}

function runState(run: RunRow): string {
  if (run.finished_at === null && run.settled_at !== null) return "ending";
  if (run.finished_at === null) return run.stop_requested_at === null ? "live" : "stopping";
  return run.success === true ? "success" : (run.failure_code ?? "failed");
}

function statusText(task: ShownTask, now: Date): string {
  if (task.status === "pending") return `pending for ${duration(now.getTime() - task.created_at.getTime())}`;
  if (task.status === "running") return `running: ${oneLine(task.why?.explanation ?? "")}`;
  const ended = task.completed_at ?? now;
  const took = task.started_at === null ? "" : `, took ${duration(ended.getTime() - task.started_at.getTime())}`;
  return `completed ${duration(now.getTime() - ended.getTime())} ago${took}`;
}

function shortResult(result: unknown): string {
  if (result === null) return "";
  const { success, summary, code, error } = result as Result;
  if (success === true) return `ok ${firstLine(asText(summary ?? ""), 80)}`.trim();
  return `failed ${[code, error]
    .filter((part) => typeof part === "string")
    .map(String)
    .join(": ")}`.trim();
}

function asText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
