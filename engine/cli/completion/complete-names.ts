/** What is in the database, for completion: ids of tasks, epics and questions, names of projects. */
import type { Command } from "commander";
import { findDatabase } from "../../embedded-postgres/find-database.ts";
import { openDatabase } from "../../store/connection.ts";
import type { Database } from "../../store/connection.ts";
import { newestEpics, newestTasks } from "../../store/find-task.ts";
import type { Named } from "../../store/find-task.ts";
import { configOf } from "../settings.ts";
import { shortId } from "../terminal/terminal-text.ts";

const MOST = 20;
const CONNECT_TIMEOUT_MS = 2_000;

export interface Candidate {
  value: string;
  description: string;
}

/** By the name of the argument or option that is to be filled. */
const SOURCES: Readonly<Record<string, (database: Database) => Promise<Candidate[]>>> = {
  task: async (database) => ids(await newestTasks(database, MOST), "the newest task"),
  epic: async (database) => ids(await newestEpics(database, MOST), "the newest epic"),
  question: async (database) => {
    const { listInbox } = await import("../../store/inbox.ts");
    return ids(await listInbox(database), "the newest question");
  },
  project: async (database) => {
    const { listProjects } = await import("../../store/projects.ts");
    return (await listProjects(database)).map(({ name, repo_url }) => ({ value: name, description: repo_url }));
  },
};

/** Nothing where the name says nothing of the database, which is not asked then. */
export async function completeNames(command: Command, name: string): Promise<Candidate[]> {
  const source = SOURCES[name];
  if (source === undefined) return [];
  const database = openDatabase({
    url: await findDatabase(configOf(command)),
    applicationName: "myzel completion",
    max: 1,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    statementTimeoutMs: CONNECT_TIMEOUT_MS,
  });
  try {
    return await source(database);
  } finally {
    await database.close();
  }
}

function ids(rows: readonly Named[], last: string): Candidate[] {
  return [
    ...rows.map(({ id, prompt }) => ({ value: shortId(id), description: prompt })),
    { value: "@last", description: last },
  ];
}
