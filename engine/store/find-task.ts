/** Which task a person means: a whole id, a unique beginning of one, or `@last`. */
import { sql } from "kysely";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";
import { NotFoundError } from "./errors.ts";

const LEAST_DIGITS = 4;
const ALL_DIGITS = 32;
const MOST_CANDIDATES = 5;

/**
 * The task's id.
 * @throws NotFoundError where there is none, where several begin like that (it names them), or where it is no id
 */
export async function findTask(database: Database, given: string): Promise<string> {
  if (given === "@last") return await newestTask(database);
  const digits = given.trim().toLowerCase().replaceAll("-", "");
  if (!/^[0-9a-f]+$/.test(digits) || digits.length > ALL_DIGITS || digits.length < LEAST_DIGITS) {
    throw new NotFoundError(
      `"${given.slice(0, 60)}" is no task id: give one, or at least its first ${LEAST_DIGITS} digits, or @last.`,
    );
  }
  const found = await tasksBetween(database, digits.padEnd(ALL_DIGITS, "0"), digits.padEnd(ALL_DIGITS, "f"));
  const [only] = found;
  if (only === undefined) throw new NotFoundError(`There is no task whose id begins with "${given}".`);
  if (found.length === 1) return only;
  const more = found.length > MOST_CANDIDATES ? " and others" : "";
  throw new NotFoundError(
    `"${given}" is the beginning of several tasks: ${found.slice(0, MOST_CANDIDATES).join(", ")}${more}.`,
  );
}

/** Ids of the newest tasks with their prompts' beginnings, for completion. */
export async function newestTasks(database: Database, limit: number): Promise<{ id: string; prompt: string }[]> {
  const result = await asking(
    sql<{ id: string; prompt: string }>`
      select id, left(prompt, 200) as prompt from tasks order by created_at desc limit ${limit}`.execute(database.db),
  );
  return result.rows;
}

async function newestTask(database: Database): Promise<string> {
  const [task] = await newestTasks(database, 1);
  if (task === undefined) throw new NotFoundError("There is no task yet.");
  return task.id;
}

/** Inclusive, in the order of ids: the primary key's index finds them. */
async function tasksBetween(database: Database, first: string, last: string): Promise<string[]> {
  const rows = await asking(
    database.db
      .selectFrom("tasks")
      .select("id")
      .where("id", ">=", first)
      .where("id", "<=", last)
      .orderBy("id")
      .limit(MOST_CANDIDATES + 1)
      .execute(),
  );
  return rows.map((row) => row.id);
}
