/** What a pending task waits for: the gates, in the order in which they are told. Pure. */
import {
  activeEpic,
  addresseeOf,
  credentialOf,
  headOf,
  isForPerson,
  liveRuns,
  newestRun,
  pendingTasks,
  projectOf,
} from "./model.ts";
import type { Model, ModelRun, ModelTask, MostLive } from "./model.ts";
import { touch } from "./paths.ts";
import { spentToday } from "./spending.ts";

/** A leader that has not beaten for so long counts as gone. */
const SILENT_MS = 15_000;

/** The one thing a pending task waits for: a code of why_not_running(). */
export function whyPending(model: Model, task: ModelTask): string {
  if (headOf(model, task.addressee) !== task) return "head";
  const newest = newestRun(model, task.id);
  if (newest?.live) return "stopping_run";
  if (model.now - model.beatAt >= SILENT_MS) return "no_engine";
  if (model.paused) return "engine_paused";
  const gate = gateOf(model, task, newest);
  if (gate !== null) return gate;
  if (dayIsSpent(model)) return "cost_limit";
  return liveRuns(model).length >= model.limit ? "global_limit" : "starting";
}

/** Heads that could start now as far as their addressee and their gates are concerned: what a claim chooses from. */
export function readyHeads(model: Model): ModelTask[] {
  if (model.paused || dayIsSpent(model)) return [];
  return pendingTasks(model).filter((task) => {
    const newest = newestRun(model, task.id);
    return headOf(model, task.addressee) === task && !newest?.live && gateOf(model, task, newest) === null;
  });
}

function dayIsSpent(model: Model): boolean {
  return model.dailyCents !== null && spentToday(model, "") >= model.dailyCents;
}

/** What the task's addressee, its last run, its project, epic, paths or credential holds against it; null if nothing. */
function gateOf(model: Model, task: ModelTask, newest: ModelRun | undefined): string | null {
  const addressee = addresseeOf(model, task.addressee);
  if (addressee.paused) return "addressee_paused";
  if (liveRuns(model, task.addressee).length >= addressee.capacity) return "slot";
  if (newest?.retryAt !== undefined && newest.retryAt !== null && newest.retryAt > model.now) return "retry";
  if (isForPerson(model, task)) return "human";
  return sharedGate(model, task);
}

function sharedGate(model: Model, task: ModelTask): string | null {
  const project = projectOf(model, task);
  if (project?.paused) return "project_paused";
  if (project && project.dailyCents !== null && spentToday(model, project.name) >= project.dailyCents) {
    return "project_cost";
  }
  const full = limitsOf(model, task).filter(({ live, most }) => live >= most);
  const other = full.find(({ reason }) => reason !== "credential");
  if (other !== undefined) return other.reason;
  if (liveRuns(model).some((run) => touch(run, task))) return "paths";
  return full.length > 0 || !credentialIsOpen(model, task) ? "credential" : null;
}

function credentialIsOpen(model: Model, task: ModelTask): boolean {
  const credential = model.credentials.get(credentialOf(model, task));
  if (credential === undefined || credential.problem !== null) return false;
  const reserved = credential.keepReserve && (credential.warnedUntil ?? 0) > model.now;
  return (credential.blockedUntil ?? 0) <= model.now && !reserved;
}

interface Limit {
  /** What waiting for it is called. */
  reason: "project_limit" | "epic_limit" | "credential";
  /** Of what. */
  name: string;
  live: number;
  most: number;
}

/** The limits of live runs that the task is under beside its addressee's, in the order in which they are told. */
export function limitsOf(model: Model, task: ModelTask): Limit[] {
  const limits: Limit[] = [];
  const add = (reason: Limit["reason"], name: string | null, most: MostLive | undefined, column: keyof ModelRun) => {
    if (name === null || most === null || most === undefined) return;
    limits.push({ reason, name, most, live: liveRuns(model).filter((run) => run[column] === name).length });
  };
  const project = projectOf(model, task);
  add("project_limit", project?.name ?? null, project?.mostLive, "project");
  add("epic_limit", task.epic, activeEpic(model, task.epic)?.limits.liveRuns, "epic");
  const credential = credentialOf(model, task);
  add("credential", credential, model.credentials.get(credential)?.mostLive, "credential");
  return limits;
}
