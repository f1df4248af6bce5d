/**
 * Reads what the agent wants of the engine. What is no such wish, what the run had no tool for, or is too much, is
 * left out.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type FinishEpic, type OutboxTask, WORKSPACE } from "../contract.ts";
import { isRealDirectory, readSmallFile } from "../hostile-files.ts";
import { couldCreate, type Offer } from "../mcp/offer.ts";
import { finishProblem, MAX_TASKS, MAX_TOTAL_BYTES, OUTBOX_FILES, taskProblem } from "../mcp/outbox-rules.ts";

const MAX_FILE_BYTES = 2 * 2 ** 20;

const text = z.string().nullable().default(null);
const taskSchema = z.object({
  prompt: z.string(),
  addressee: text,
  repo_url: text,
  branch: text,
  base_branch: text,
  kind: text,
  step: text,
  paths: z.array(z.string()).nullable().default(null),
  wake: z.enum(["each", "last"]).default("each"),
  pull_request: z.boolean().default(false),
});
const finishSchema = z.object({ success: z.boolean(), summary: z.string() });

export interface Outbox {
  /** In the order in which they were created. */
  tasks: OutboxTask[];
  finish_epic: FinishEpic | null;
}

/** The outbox of a run that had these tools. */
export async function readOutbox(workspace: string, offer: Offer): Promise<Outbox> {
  const directory = join(workspace, WORKSPACE.outbox);
  if (!(await isRealDirectory(directory))) return { tasks: [], finish_epic: null };
  return {
    tasks: await readTasks(directory, offer),
    finish_epic: offer.finishEpic ? await readFinish(join(directory, OUTBOX_FILES.finishEpic)) : null,
  };
}

async function readTasks(directory: string, offer: Offer): Promise<OutboxTask[]> {
  const entries = await readdir(directory).catch(() => []);
  const names = entries.filter((name) => OUTBOX_FILES.task.test(name)).toSorted();
  const tasks: OutboxTask[] = [];
  let bytes = 0;
  for (const name of names.slice(0, MAX_TASKS)) {
    const content = await readSmallFile(join(directory, name), MAX_FILE_BYTES);
    const task = content === null ? null : parsed(taskSchema, content);
    if (content === null || task === null || taskProblem(task) !== null || !couldCreate(offer, task)) continue;
    bytes += content.length;
    if (bytes > MAX_TOTAL_BYTES) break;
    tasks.push(task);
  }
  return tasks;
}

async function readFinish(path: string): Promise<FinishEpic | null> {
  const content = await readSmallFile(path, MAX_FILE_BYTES);
  const finish = content === null ? null : parsed(finishSchema, content);
  return finish === null || finishProblem(finish) !== null ? null : finish;
}

function parsed<T>(schema: z.ZodType<T>, content: Buffer): T | null {
  try {
    return schema.parse(JSON.parse(content.toString("utf8")));
  } catch {
    return null;
  }
}
