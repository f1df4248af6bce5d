/**
 * What the queue should be: a small pure model of tasks, runs, gates and epics, without lanes, locks or plans. Here is
 * what it holds and how that is looked up; gates.ts says what a pending task waits for, epic-rules.ts what follows from
 * the end of a task, settle-rules.ts what a settle does. It never asks the database.
 */
import type { TaskState } from "../../engine/domain/task-states.ts";

export interface Result {
  success: boolean;
  code: string | null;
  /** Null: no run wrote it. */
  attempt: number | null;
}

/** A task as an agent asks for it. */
export interface Child {
  addressee: string;
  kind: "question" | "merge" | null;
  step: string | null;
  /** Wakes Green together with the others of its run. */
  together: boolean;
  paths: string[] | null;
  prompt: string;
}

export interface ModelTask {
  /** Empty until it is learned, where the database has chosen it. */
  id: string;
  addressee: string;
  /** Milliseconds since 1970, like every time here. */
  createdAt: number;
  repoUrl: string | null;
  status: "pending" | "running" | "completed";
  completedAt: number | null;
  result: Result | null;
  /** The addressee whose agent made it; null: a person. */
  createdBy: string | null;
  parentId: string | null;
  /** Its own profile, whatever its addressee's is. */
  profile: string | null;
  epic: string | null;
  depth: number;
  kind: "wake_up" | "question" | "approval" | "merge" | null;
  step: string | null;
  /** The run whose tasks wake their Green together. */
  group: string | null;
  paths: string[] | null;
  /** The run whose work a person wants the next attempt to go on from. */
  continues: string | null;
  /** What becomes of an approval once a person said yes. */
  onApproval: Child | null;
  /** Of a wake-up: the results that it tells, by task, and when they were joined to it. */
  told: Map<string, { result: Result; at: number }>;
  /** By which it is found in the database while its id is not known. */
  prompt: string;
}

export interface ModelRun {
  id: string;
  taskId: string;
  addressee: string;
  slot: number;
  attempt: number;
  retries: number;
  startedAt: number;
  repoUrl: string | null;
  /** Of its repository when it was claimed. */
  project: string | null;
  epic: string | null;
  /** As they were declared when it was claimed. */
  paths: string[] | null;
  /** It ran with: may it create tasks? */
  profile: string;
  credential: string;
  live: boolean;
  stopping: boolean;
  /** Its report has completed its task, and its job is still ending. */
  reported: boolean;
  failureCode: string | null;
  retryAt: number | null;
  /** It has left something that is not pushed. */
  leftWork: boolean;
}

export interface ModelAddressee {
  capacity: number;
  paused: boolean;
  profile: string | null;
}

/** What an epic may use. Null: no limit. */
export interface EpicLimits {
  tasks: number;
  tasksPerRun: number;
  depth: number;
  failuresInARow: number;
  runs: number;
  liveRuns: number;
  tokens: number | null;
  cents: number | null;
  wallMs: number;
}

export interface ModelEpic {
  /** Of the task that it began with. */
  id: string;
  addressee: string;
  state: "active" | "finished" | "failed" | "stopped";
  endCode: string | null;
  limits: EpicLimits;
  /** Created by its agents. */
  tasks: number;
  runs: number;
  tokens: number;
  cents: number;
  stalls: number;
  startedAt: number | null;
}

/** What the engine has to say to a Green: where told is null, not yet. */
export interface Note {
  epic: string;
  addressee: string;
  about: "refused" | "deleted" | "part" | "idle";
  told: ModelTask | null;
}

/** Null: no limit. */
export type MostLive = number | null;

export interface ModelCredential {
  blockedUntil: number | null;
  problem: string | null;
  mostLive: MostLive;
  keepReserve: boolean;
  warnedUntil: number | null;
}

export interface ModelProject {
  name: string;
  paused: boolean;
  mostLive: MostLive;
  /** What a day may cost. */
  dailyCents: number | null;
}

export interface ModelProfile {
  role: "red" | "green" | "human";
  credential: string;
  mayCreate: boolean;
}

/** What a project ('': all of them) has used on a day. */
export interface DaySpend {
  project: string;
  day: string;
  runs: number;
  tokens: number;
  cents: number;
}

export interface Start {
  now: number;
  epoch: number;
  limit: number;
}

export interface Model extends Start {
  beatAt: number;
  paused: boolean;
  /** What a day may cost. */
  dailyCents: number | null;
  /** Committed ones. */
  tasks: Map<string, ModelTask>;
  /** What the database made, whose ids are not known yet. */
  born: ModelTask[];
  /** What an inserter's open transaction holds; null while none is open. */
  uncommitted: ModelTask[] | null;
  /** Ids of deleted tasks. */
  deleted: string[];
  runs: ModelRun[];
  addressees: Map<string, ModelAddressee>;
  credentials: Map<string, ModelCredential>;
  /** By the key of their repository. */
  projects: Map<string, ModelProject>;
  epics: Map<string, ModelEpic>;
  notes: Note[];
  days: DaySpend[];
  profiles: Map<string, ModelProfile>;
  /** How many ids were made: makes the next one unique. */
  made: number;
}

const DEFAULT_ADDRESSEE: ModelAddressee = { capacity: 1, paused: false, profile: null };
const OPEN_CREDENTIAL: ModelCredential = {
  blockedUntil: null,
  problem: null,
  mostLive: null,
  keepReserve: false,
  warnedUntil: null,
};

export const PROJECT = { name: "big", repoUrl: "https://host/big.git", mostLive: 1 };
/** Whom questions and approvals go to. */
export const APPROVER = "blue";

export function emptyModel(start: Start): Model {
  return {
    ...start,
    beatAt: start.now,
    paused: false,
    dailyCents: null,
    tasks: new Map(),
    born: [],
    uncommitted: null,
    deleted: [],
    runs: [],
    addressees: new Map([
      ["a", { ...DEFAULT_ADDRESSEE, capacity: 2 }],
      ["b", { ...DEFAULT_ADDRESSEE, capacity: 3 }],
    ]),
    credentials: new Map([
      ["default", { ...OPEN_CREDENTIAL }],
      ["second", { ...OPEN_CREDENTIAL }],
    ]),
    projects: new Map([
      [
        repositoryKey(PROJECT.repoUrl),
        { name: PROJECT.name, paused: false, mostLive: PROJECT.mostLive, dailyCents: null },
      ],
    ]),
    epics: new Map(),
    notes: [],
    days: [],
    profiles: new Map([
      ["red", { role: "red", credential: "default", mayCreate: false }],
      ["green", { role: "green", credential: "default", mayCreate: true }],
      ["human", { role: "human", credential: "default", mayCreate: false }],
      ["second", { role: "red", credential: "second", mayCreate: false }],
      ["lead", { role: "red", credential: "default", mayCreate: true }],
    ]),
    made: 0,
  };
}

/** A pending task of a person's; what is given stands. */
export function newTask(given: Pick<ModelTask, "addressee" | "createdAt"> & Partial<ModelTask>): ModelTask {
  return {
    id: "",
    repoUrl: null,
    status: "pending",
    completedAt: null,
    result: null,
    createdBy: null,
    parentId: null,
    profile: null,
    epic: null,
    depth: 0,
    kind: null,
    step: null,
    group: null,
    paths: null,
    continues: null,
    onApproval: null,
    told: new Map(),
    prompt: "",
    ...given,
  };
}

/** One repository, however its address is written. */
export function repositoryKey(repoUrl: string): string {
  return repoUrl.replace(/\/+$/, "").replace(/\.git$/, "");
}

/** All tasks, also those whose ids are not known yet. */
export function everyTask(model: Model): ModelTask[] {
  return [...model.tasks.values(), ...model.born];
}

/** By created_at, then id: the order of everything. */
export function compareAge(a: ModelTask, b: ModelTask): number {
  return a.createdAt - b.createdAt || compareText(a.id, b.id);
}

export function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

/** The oldest pending task of an addressee. */
export function headOf(model: Model, addressee: string): ModelTask | undefined {
  return pendingTasks(model)
    .filter((task) => task.addressee === addressee)
    .toSorted(compareAge)[0];
}

export function pendingTasks(model: Model): ModelTask[] {
  return everyTask(model).filter((task) => task.status === "pending");
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

/** The name of the profile that an addressee's tasks run with, unless they have their own. */
export function profileOf(model: Model, addressee: string): string {
  const own = addresseeOf(model, addressee).profile;
  if (own !== null) return own;
  if (addressee === APPROVER) return "human";
  if (addressee.startsWith("second-")) return "second";
  if (addressee.startsWith("lead-")) return "lead";
  return addressee.startsWith("project-mgr-") ? "green" : "red";
}

export function profileOfTask(model: Model, task: ModelTask): string {
  return task.profile ?? profileOf(model, task.addressee);
}

/** Whether what this one creates wakes it. A person is none. */
export function isGreen(model: Model, addressee: string | null): boolean {
  return addressee !== null && model.profiles.get(profileOf(model, addressee))?.role === "green";
}

export function isForPerson(model: Model, task: ModelTask): boolean {
  return model.profiles.get(profileOfTask(model, task))?.role === "human";
}

export function credentialOf(model: Model, task: ModelTask): string {
  return model.profiles.get(profileOfTask(model, task))?.credential ?? "default";
}

export function projectOf(model: Model, task: ModelTask): ModelProject | undefined {
  return task.repoUrl === null ? undefined : model.projects.get(repositoryKey(task.repoUrl));
}

export function activeEpic(model: Model, id: string | null): ModelEpic | undefined {
  const epic = model.epics.get(id ?? "");
  return epic?.state === "active" ? epic : undefined;
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
