/**
 * The outbox: tasks that the agent wants created, one JSON file each, for `publish` to hand in.
 *
 * A file appears whole or not at all and is never overwritten. Bounded, so that an agent in a loop
 * fills neither the disk nor the queue.
 */
import { linkSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { OutboxTask } from "../contract.ts";

export const MAX_TASKS = 100;
const MAX_PROMPT_BYTES = 2 ** 20;
/** Of all tasks together, for the report that carries them is bounded. */
const MAX_TOTAL_BYTES = 4 * 2 ** 20;
/** The limits of the `tasks` table. */
const MAX_NAME_LENGTH = 200;
const MAX_URL_LENGTH = 2000;

/** The task cannot be accepted; the message says why, to the model. */
export class OutboxError extends Error {}

/**
 * Writes a task and returns its number.
 * @throws OutboxError with a sentence for the model
 */
export function addToOutbox(directory: string, task: OutboxTask): number {
  const problem = taskProblem(task);
  if (problem !== null) throw new OutboxError(problem);
  mkdirSync(directory, { recursive: true });
  const files = readdirSync(directory).filter((name) => /^\d{4}\.json$/.test(name));
  const next = Math.max(0, ...files.map((name) => Number(name.slice(0, 4)))) + 1;
  if (files.length >= MAX_TASKS || next > 9999) {
    throw new OutboxError(`One run may create ${MAX_TASKS} tasks, and this one has.`);
  }
  const content = JSON.stringify(task);
  const bytes = files.reduce((sum, name) => sum + statSync(join(directory, name)).size, Buffer.byteLength(content));
  if (bytes > MAX_TOTAL_BYTES) {
    throw new OutboxError(
      "The tasks of one run may weigh 4 MiB together; put the details into files of the repository.",
    );
  }
  const path = join(directory, `${String(next).padStart(4, "0")}.json`);
  const draft = join(directory, `.draft-${process.pid}`);
  writeFileSync(draft, content);
  try {
    linkSync(draft, path);
  } finally {
    rmSync(draft, { force: true });
  }
  return next;
}

/** A sentence that says what is wrong with a task; null where nothing is. */
export function taskProblem(task: OutboxTask): string | null {
  if (task.prompt.trim() === "") return "The prompt is empty; say what is to be done.";
  if (Buffer.byteLength(task.prompt) > MAX_PROMPT_BYTES)
    return "The prompt is longer than 1 MiB; put the details into a file of the repository.";
  if (task.prompt.includes("\0")) return "The prompt holds a NUL character.";
  if (!isName(task.addressee))
    return `The addressee must be 1 to ${MAX_NAME_LENGTH} characters, without control characters.`;
  if (!isName(task.kind)) return `The kind must be 1 to ${MAX_NAME_LENGTH} characters, without control characters.`;
  if (task.repo_url !== null && !isRemote(task.repo_url)) return "The repo_url is no address of a git remote.";
  if (task.branch !== null && !isBranch(task.branch))
    return `"${task.branch.slice(0, 100)}" is no branch name that git accepts.`;
  return null;
}

function isName(name: string | null): boolean {
  if (name === null) return true;
  return name.trim() !== "" && name.length <= MAX_NAME_LENGTH && !/\p{Cc}/u.test(name);
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
