/**
 * Every command: its name, its line in the overview, its group, and the file that defines and runs it.
 *
 * Files are loaded when their command is asked for and never before, so that the overview and short
 * commands do not pay for the engine.
 */
import type { Command } from "commander";

export interface CommandFile {
  /** Adds arguments, options, help and the action. */
  define(command: Command): void;
}

export interface CommandEntry {
  readonly summary: string;
  readonly group: string;
  readonly alias?: string;
  load(): Promise<CommandFile>;
}

const RUN = "Run:";
const TASKS = "Tasks:";
const PROJECTS = "Projects and epics:";
const TOOLS = "Tools:";

export const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  up: { group: RUN, summary: "start everything: database, migrations, engine", load: () => import("./engine/up.ts") },
  engine: { group: RUN, summary: "run the engine alone, as in a container", load: () => import("./engine/engine.ts") },
  migrate: {
    group: RUN,
    summary: "bring the database's schema up to date",
    load: () => import("./database/migrate.ts"),
  },
  doctor: {
    group: RUN,
    summary: "check every prerequisite, say how to mend each",
    load: () => import("./doctor/doctor.ts"),
  },
  login: {
    group: RUN,
    summary: "store the Claude token for runs on this machine",
    load: () => import("./login/login.ts"),
  },
  enqueue: { group: TASKS, summary: "file a task", load: () => import("./task/enqueue.ts") },
  tasks: { group: TASKS, summary: "list tasks, newest first", load: () => import("./task/tasks.ts") },
  show: {
    group: TASKS,
    alias: "inspect",
    summary: "show a task, its runs, its result and the end of its transcript",
    load: () => import("./task/show.ts"),
  },
  logs: { group: TASKS, summary: "print what the agent said and did", load: () => import("./task/logs.ts") },
  stop: { group: TASKS, summary: "stop a running task, cancel a pending one", load: () => import("./task/stop.ts") },
  retry: { group: TASKS, summary: "run a task again", load: () => import("./task/retry.ts") },
  work: {
    group: TASKS,
    summary: "write what an attempt left unpushed to a file that git fetches from",
    load: () => import("./task/work.ts"),
  },
  why: { group: TASKS, summary: "say what a task waits for", load: () => import("./task/why.ts") },
  pause: {
    group: TASKS,
    summary: "let nothing start, or nothing of one addressee",
    load: () => import("./task/pause.ts"),
  },
  resume: { group: TASKS, summary: "let tasks start again", load: () => import("./task/resume.ts") },
  first: {
    group: TASKS,
    summary: "let a pending task go before all others of its addressee",
    load: () => import("./task/first.ts"),
  },
  project: {
    group: PROJECTS,
    summary: "what is known of a repository: add, list, show, set, pause, resume, remove",
    load: () => import("./project/project.ts"),
  },
  epic: {
    group: PROJECTS,
    summary: "goals that Green works towards: file, list, show, stop",
    load: () => import("./epic/epic.ts"),
  },
  inbox: {
    group: PROJECTS,
    summary: "what waits for a person: questions and approvals",
    load: () => import("./inbox/inbox.ts"),
  },
  answer: {
    group: PROJECTS,
    summary: "answer a question, give or refuse an approval",
    load: () => import("./inbox/answer.ts"),
  },
  prune: {
    group: TOOLS,
    summary: "delete old transcripts, runs and audit rows now",
    load: () => import("./database/prune.ts"),
  },
  psql: { group: TOOLS, summary: "open the database in psql", load: () => import("./database/psql.ts") },
  completion: {
    group: TOOLS,
    summary: "print completion for bash, zsh or fish",
    load: () => import("./completion/completion.ts"),
  },
};
