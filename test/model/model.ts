/**
 * What the queue should be: a small pure model of tasks, runs and gates, without lanes, locks or plans. It says of every
 * pending task what it waits for, which tasks a claim may take, and in which order. It never asks the database.
 */
import type { TaskState } from "../../engine/domain/task-states.ts";

export interface ModelTask {
  id: string;
  addressee: string;
  /** Milliseconds since 1970, like every time here. */
  createdAt: number;
  repoUrl: string | null;
  epic: string | null;
  status: "pending" | "running" | "completed";
  /** As `resultText` of observe.ts says it. */
  result: string | null;
}

export interface ModelRun {
  id: string;
  taskId: string;
  addressee: string;
  slot: number;
  attempt: number;
  retries: number;
  repoUrl: string | null;
  /** Of its repository when it was claimed. */
  project: string | null;
  epic: string | null;
  /** It ran with: may it create tasks? */
  profile: string;
  credential: string;
  live: boolean;
  stopping: boolean;
  failureCode: string | null;
  retryAt: number | null;
}

export interface ModelAddressee {
  capacity: number;
  paused: boolean;
  profile: string | null;
}

/** Null: no limit. */
type MostLive = number | null;

export interface Model {
  now: number;
  epoch: number;
  beatAt: number;
  paused: boolean;
  /** Most live runs at a time, over all addressees. */
  limit: number;
  /** Committed ones. */
  tasks: Map<string, ModelTask>;
  /** What an inserter's open transaction holds; null while none is open. */
  uncommitted: ModelTask[] | null;
  /** Ids of deleted tasks. */
  deleted: string[];
  runs: ModelRun[];
  addressees: Map<string, ModelAddressee>;
  credentials: Map<string, { blockedUntil: number | null; problem: string | null; mostLive: MostLive }>;
  /** By their repository. */
  projects: Map<string, { name: string; paused: boolean; mostLive: MostLive }>;
  epics: Map<string, number>;
  /** Name of a profile to its credential. */
  profiles: Map<string, string>;
  /** How many ids were made: makes the next one unique. */
  made: number;
}

/** A leader that has not beaten for so long counts as gone. */
const SILENT_MS = 15_000;

const DEFAULT_ADDRESSEE: ModelAddressee = { capacity: 1, paused: false, profile: null };

export const PROJECT = { name: "big", repoUrl: "https://host/big.git", mostLive: 1 };
export const EPICS = ["e1000000-0000-4000-8000-000000000000", "e2000000-0000-4000-8000-000000000000"];
export const EPIC_MOST_LIVE = 1;
/** The first task of each epic waits for a paused addressee for ever: so no epic ends, which is not the model's subject. */
export const KEEPER = "keeper";

export function emptyModel(start: { now: number; epoch: number; limit: number }): Model {
  return {
    ...start,
    beatAt: start.now,
    paused: false,
    tasks: new Map(EPICS.map((epic) => [epic, keeperOf(epic, start.now)])),
    uncommitted: null,
    deleted: [],
    runs: [],
    addressees: new Map([
      ["a", { ...DEFAULT_ADDRESSEE, capacity: 2 }],
      ["b", { ...DEFAULT_ADDRESSEE, capacity: 3 }],
      [KEEPER, { ...DEFAULT_ADDRESSEE, paused: true }],
    ]),
    credentials: new Map([
      ["default", { blockedUntil: null, problem: null, mostLive: null }],
      ["second", { blockedUntil: null, problem: null, mostLive: null }],
    ]),
    projects: new Map([[PROJECT.repoUrl, { name: PROJECT.name, paused: false, mostLive: PROJECT.mostLive }]]),
    epics: new Map(EPICS.map((epic) => [epic, EPIC_MOST_LIVE])),
    profiles: new Map([
      ["red", "default"],
      ["green", "default"],
      ["human", "default"],
      ["second", "second"],
    ]),
    made: 0,
  };
}

function keeperOf(epic: string, now: number): ModelTask {
  return { id: epic, addressee: KEEPER, createdAt: now, repoUrl: null, epic, status: "pending", result: null };
}

/** The one thing a pending task waits for: a code of why_not_running(). */
export function whyPending(model: Model, task: ModelTask): string {
  if (headOf(model, task.addressee) !== task) return "head";
  const newest = newestRun(model, task.id);
  if (newest?.live) return "stopping_run";
  if (model.now - model.beatAt >= SILENT_MS) return "no_engine";
  if (model.paused) return "engine_paused";
  const gate = gateOf(model, task, newest);
  if (gate !== null) return gate;
  return liveRuns(model).length >= model.limit ? "global_limit" : "starting";
}

/** Heads that could start now as far as their addressee and credential are concerned: what a claim chooses from. */
export function readyHeads(model: Model): ModelTask[] {
  if (model.paused) return [];
  return pendingTasks(model).filter((task) => {
    const newest = newestRun(model, task.id);
    return headOf(model, task.addressee) === task && !newest?.live && gateOf(model, task, newest) === null;
  });
}

/** What the task's addressee, its last run, its project, epic or credential holds against it; null if nothing. */
function gateOf(model: Model, task: ModelTask, newest: ModelRun | undefined): string | null {
  const addressee = addresseeOf(model, task.addressee);
  if (addressee.paused) return "addressee_paused";
  if (liveRuns(model, task.addressee).length >= addressee.capacity) return "slot";
  if (newest?.retryAt !== undefined && newest.retryAt !== null && newest.retryAt > model.now) return "retry";
  if (profileOf(model, task.addressee) === "human") return "human";
  if (projectOf(model, task)?.paused) return "project_paused";
  const full = limitsOf(model, task).find(({ live, most }) => live >= most);
  const credential = model.credentials.get(credentialOf(model, task.addressee));
  const blocked = (credential?.blockedUntil ?? 0) > model.now || credential?.problem !== null;
  return full?.reason ?? (blocked ? "credential" : null);
}

export function projectOf(model: Model, task: ModelTask) {
  return task.repoUrl === null ? undefined : model.projects.get(task.repoUrl);
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
  add("epic_limit", task.epic, model.epics.get(task.epic ?? ""), "epic");
  const credential = credentialOf(model, task.addressee);
  add("credential", credential, model.credentials.get(credential)?.mostLive, "credential");
  return limits;
}

/** By created_at, then id: the order of everything. */
export function compareAge(a: ModelTask, b: ModelTask): number {
  return a.createdAt - b.createdAt || (a.id < b.id ? -1 : Number(a.id > b.id));
}

/** The oldest pending task of an addressee. */
export function headOf(model: Model, addressee: string): ModelTask | undefined {
  return pendingTasks(model)
    .filter((task) => task.addressee === addressee)
    .toSorted(compareAge)[0];
}

export function pendingTasks(model: Model): ModelTask[] {
  return [...model.tasks.values()].filter((task) => task.status === "pending");
}

export function liveRuns(model: Model, addressee?: string): ModelRun[] {
  return model.runs.filter((run) => run.live && (addressee === undefined || run.addressee === addressee));
}

export function newestRun(model: Model, taskId: string): ModelRun | undefined {
  return model.runs.filter((run) => run.taskId === taskId).toSorted((a, b) => b.attempt - a.attempt)[0];
}

export function addresseeOf(model: Model, addressee: string): ModelAddressee {
  return model.addressees.get(addressee) ?? DEFAULT_ADDRESSEE;
}

export function profileOf(model: Model, addressee: string): string {
  const own = addresseeOf(model, addressee).profile;
  if (own !== null) return own;
  if (addressee === "blue") return "human";
  if (addressee.startsWith("second-")) return "second";
  return addressee.startsWith("project-mgr-") ? "green" : "red";
}

export function credentialOf(model: Model, addressee: string): string {
  return model.profiles.get(profileOf(model, addressee)) ?? "default";
}

/** Attempt and count of repetitions that the next run of this task gets. */
export function nextAttempt(model: Model, taskId: string): { attempt: number; retries: number } {
  const last = newestRun(model, taskId);
  if (last === undefined) return { attempt: 1, retries: 0 };
  const attempt = last.attempt + 1;
  if (last.retryAt === null) return { attempt, retries: 0 };
  return { attempt, retries: last.failureCode === "usage_limit" ? last.retries : last.retries + 1 };
}

/** The state of a task in the words of engine/domain/task-states.ts. */
export function taskState(model: Model, id: string): TaskState {
  const task = model.tasks.get(id);
  const newest = newestRun(model, id);
  const suffix = newest?.live ? "_stopping" : "";
  if (task === undefined) return `absent${suffix}`;
  if (task.status === "running") return "running";
  if (task.status === "pending" && newest && newest.retryAt !== null) {
    return newest.retryAt > model.now ? "pending_retrying" : "pending_repeating";
  }
  return `${task.status}${suffix}`;
}
