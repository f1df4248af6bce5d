/** What a pending task waits for, in the words that people read: why_not_running() once more, over the model. Pure. */
import { credentialOf, newestRun, profileOfTask, projectOf } from "./model.ts";
import type { Model, ModelTask } from "./model.ts";
import { spentToday } from "./spending.ts";

/** Reasons whose sentences are not compared: what they name is not the model's. */
export const CODES_ONLY = ["head", "stopping_run", "no_engine", "slot", "paths"];

/** The sentence for this reason, with "then" for a time; null for one of CODES_ONLY. */
export function sentenceOf(model: Model, task: ModelTask, reason: string): string | null {
  const { addressee } = task;
  const project = projectOf(model, task);
  const name = project?.name;
  const day = 24 * 3600 * 1000;
  const tomorrow = `before then (in ${duration(day - (model.now % day))}).`;
  const limit = (what: string, most: unknown) =>
    `${what} has as many live runs as it may have (max_live_runs ${String(most)}); it starts when one of them has ended.`;
  switch (reason) {
    case "engine_paused":
      return 'The engine is paused: "myzel resume" lets tasks start again.';
    case "addressee_paused":
      return `Addressee "${addressee}" is paused: resume('${addressee}') or "myzel resume ${addressee}" lets its tasks start again.`;
    case "retry": {
      const last = newestRun(model, task.id);
      const wait = duration((last?.retryAt ?? 0) - model.now);
      return `Attempt ${last?.attempt} ended for a reason of the infrastructure (code); the next one starts in ${wait}.`;
    }
    case "human":
      return `It is for a person (profile "${profileOfTask(model, task)}"): answer it with myzel answer ${task.id} "…".`;
    case "project_paused":
      return `Project "${name}" is paused: "myzel project resume ${name}" lets its tasks start again.`;
    case "project_cost":
      return `Project "${name}" has cost ${dollars(spentToday(model, name ?? ""))} today, of ${dollars(project?.dailyCents)} a day (max_daily_cost_usd); nothing of it starts ${tomorrow}`;
    case "project_limit":
      return limit(`Project "${name}"`, project?.mostLive);
    case "epic_limit":
      return limit("Epic", model.epics.get(task.epic ?? "")?.limits.liveRuns);
    case "credential":
      return credentialSentence(model, credentialOf(model, task), limit);
    case "cost_limit":
      return `Today's runs have cost ${dollars(spentToday(model, ""))} of ${dollars(model.dailyCents)} a day (engine_state.max_daily_cost_usd); nothing starts ${tomorrow}`;
    case "global_limit":
      return `All ${model.limit} places for live runs are taken (MYZEL_MAX_LIVE_RUNS); it starts when one is free.`;
    case "starting":
      return "Nothing stands in its way: the engine is about to start it.";
    default:
      return null;
  }
}

function credentialSentence(model: Model, name: string, limit: (what: string, most: unknown) => string): string {
  const { problem, blockedUntil, keepReserve, warnedUntil, mostLive } = model.credentials.get(name) ?? {};
  if (typeof problem === "string") return `Credential "${name}" cannot be used: ${problem}`;
  if (typeof blockedUntil === "number" && blockedUntil > model.now) {
    if (blockedUntil === Infinity) return `Credential "${name}" is blocked until blocked_until is cleared by hand`;
    return `Credential "${name}" is blocked until then (in ${duration(blockedUntil - model.now)})`;
  }
  if (keepReserve === true && typeof warnedUntil === "number" && warnedUntil > model.now) {
    return `The service warns that the limit of credential "${name}" is near, and it keeps a reserve (keep_reserve): nothing starts with it before then (in ${duration(warnedUntil - model.now)}).`;
  }
  return limit(`Credential "${name}"`, mostLive);
}

function dollars(cents: number | null | undefined): string {
  return `$${((cents ?? Number.NaN) / 100).toFixed(2)}`;
}

/** As say_duration() says it. */
function duration(ms: number): string {
  if (ms < 2 * 60_000) return `${Math.max(0, Math.round(ms / 1000))} s`;
  if (ms < 2 * 3_600_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}

const REPLACED: readonly (readonly [string, string])[] = [
  [String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+`, "then"],
  [String.raw`infrastructure \([a-z_]+\)`, "infrastructure (code)"],
  [String.raw`^Epic ".*" has`, "Epic has"],
  // whoever blocked it says why
  [String.raw`^(Credential "[^"]*" is blocked [^:]*): .*`, String.raw`\1`],
];

/** SQL: the same of why_not_running(), `w`: its code, and its sentence where that is compared. */
export const SQL_SENTENCE = `w.reason || case when w.reason = any ('{${CODES_ONLY.join(",")}}') then ''
  else ': ' || ${REPLACED.reduce((text, [pattern, by]) => `regexp_replace(${text}, '${pattern}', '${by}')`, "w.explanation")} end`;
