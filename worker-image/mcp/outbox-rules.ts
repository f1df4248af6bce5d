/**
 * What a wish in the outbox must be like: asked when the agent makes it, and again by `publish`, for the agent may
 * have forged the file. Pure.
 */
import type { FinishEpic, OutboxTask } from "../contract.ts";

/** The files of an outbox. */
export const OUTBOX_FILES = {
  task: /^\d{4}\.json$/,
  finishEpic: "finish-epic.json",
} as const;

export const MAX_TASKS = 100;
/** Of all tasks together, for the report that carries them is bounded. */
export const MAX_TOTAL_BYTES = 4 * 2 ** 20;
const MAX_PROMPT_BYTES = 2 ** 20;
const MAX_SUMMARY_BYTES = 16 * 2 ** 10;
/** The limits of the tables. */
const MAX_NAME_LENGTH = 200;
const MAX_KIND_LENGTH = 100;
const MAX_URL_LENGTH = 2000;
const MAX_PATHS = 200;
const MAX_PATH_LENGTH = 1000;

/** Of the engine alone: nobody may create a task of these kinds. */
const RESERVED_KINDS = new Set(["wake_up", "approval"]);

/** A sentence that says what is wrong with a task; null where nothing is. */
export function taskProblem(task: OutboxTask): string | null {
  return (
    textProblem("prompt", task.prompt, MAX_PROMPT_BYTES) ??
    nameProblem("addressee", task.addressee, MAX_NAME_LENGTH) ??
    nameProblem("kind", task.kind, MAX_KIND_LENGTH) ??
    nameProblem("step", task.step, MAX_NAME_LENGTH) ??
    kindProblem(task) ??
    (task.repo_url === null || isRemote(task.repo_url) ? null : "The repo_url is no address of a git remote.") ??
    branchProblem(task.branch) ??
    branchProblem(task.base_branch) ??
    pathsProblem(task.paths ?? [])
  );
}

/** The same of the word that an epic is over. */
export function finishProblem(finish: FinishEpic): string | null {
  return textProblem("summary", finish.summary, MAX_SUMMARY_BYTES);
}

/** As paths are compared: no `./` before and no slash after. */
export function plainPath(path: string): string {
  return path.replace(/^(\.\/+)+/, "").replace(/\/+$/, "");
}

function textProblem(field: "prompt" | "summary", text: string, maxBytes: number): string | null {
  const missing = field === "prompt" ? "say what is to be done" : "say how the epic ended";
  if (text.trim() === "") return `The ${field} is empty; ${missing}.`;
  if (text.includes("\0")) return `The ${field} holds a NUL character.`;
  if (Buffer.byteLength(text) <= maxBytes) return null;
  return `The ${field} is longer than ${maxBytes / 1024} KiB; put the details into a file of the repository.`;
}

function nameProblem(field: string, name: string | null, maxLength: number): string | null {
  if (name === null || (name.trim() !== "" && name.length <= maxLength && !/\p{Cc}/u.test(name))) return null;
  return `The ${field} must be 1 to ${maxLength} characters, without control characters.`;
}

function kindProblem(task: OutboxTask): string | null {
  if (task.kind === null) return null;
  if (RESERVED_KINDS.has(task.kind)) return `Tasks of kind "${task.kind}" are made by the engine alone; name another.`;
  if (task.kind === "merge" && task.branch === null)
    return 'A task of kind "merge" needs `branch`: the branch that is to be merged.';
  return null;
}

function branchProblem(name: string | null): string | null {
  return name === null || isBranch(name) ? null : `"${name.slice(0, 100)}" is no branch name that git accepts.`;
}

function pathsProblem(paths: readonly string[]): string | null {
  if (paths.length > MAX_PATHS) return `A task may name ${MAX_PATHS} paths; name directories instead.`;
  const bad = paths.find((path) => !isPath(path));
  if (bad === undefined) return null;
  return `"${bad.slice(0, 100)}" is no path within the repository; name files and directories like "src/login".`;
}

/** Relative to the repository's root, as plainPath() makes it. */
function isPath(path: string): boolean {
  if (path.length > MAX_PATH_LENGTH || /\p{Cc}/u.test(path)) return false;
  return path === "." || path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/** As the `tasks` table judges it: https, ssh, git, file, `host:path` or an absolute path, and no credential in it. */
function isRemote(url: string): boolean {
  if (url.length > MAX_URL_LENGTH || /[\p{Cc}\s]/u.test(url) || /^(-|[\w+.-]+::)/.test(url)) return false;
  if (/^https?:\/\/[^/]*@/i.test(url) || /^ssh:\/\/[^/@]*:[^/]*@/i.test(url)) return false;
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(url)) return /^((https?|ssh|git):\/\/[^/]+\/.|file:\/\/\/.)/i.test(url);
  return /^(\/.|[^/:]+:.)/.test(url);
}

/** The rules of `git check-ref-format --branch`, without asking git. */
function isBranch(name: string): boolean {
  if (name === "" || name.length > MAX_NAME_LENGTH || /^(-|@$|HEAD$|refs\/)/.test(name)) return false;
  if (/[\p{Cc}\s~^:?*[\\]|\.\.|@\{|\/\/|\.$|\/$/u.test(name)) return false;
  return name.split("/").every((part) => part !== "" && !part.startsWith(".") && !part.endsWith(".lock"));
}
