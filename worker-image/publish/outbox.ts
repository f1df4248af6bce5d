/** Reads the tasks that the agent wants created. What is no such task, or is too much, is left out. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type OutboxTask, WORKSPACE } from "../contract.ts";
import { isRealDirectory, readSmallFile } from "../hostile-files.ts";

const MAX_TASKS = 100;
const MAX_TASK_BYTES = 2 * 2 ** 20;
/** A report may have 8 MiB in all. */
const MAX_TOTAL_BYTES = 4 * 2 ** 20;

const line = z.string().max(2000).nullable().default(null);
const schema = z.object({
  prompt: z.string().min(1),
  addressee: line,
  repo_url: line,
  branch: line,
  kind: line,
});

/** The outbox in the order of its file names. */
export async function readOutbox(workspace: string): Promise<OutboxTask[]> {
  const directory = join(workspace, WORKSPACE.outbox);
  if (!(await isRealDirectory(directory))) return [];
  const names = (await readdir(directory).catch(() => [])).filter((name) => /^\d{4,9}\.json$/.test(name)).toSorted();
  const tasks: OutboxTask[] = [];
  let bytes = 0;
  for (const name of names.slice(0, MAX_TASKS)) {
    const content = await readSmallFile(join(directory, name), MAX_TASK_BYTES);
    const task = content === null ? null : parseTask(content);
    if (content === null || task === null) continue;
    bytes += content.length;
    if (bytes > MAX_TOTAL_BYTES) break;
    tasks.push(task);
  }
  return tasks;
}

function parseTask(content: Buffer): OutboxTask | null {
  try {
    return schema.parse(JSON.parse(content.toString("utf8")));
  } catch {
    return null;
  }
}
