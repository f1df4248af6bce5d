/**
 * Which task or epic a person means: a whole id, a unique beginning or end of one, or `@last`. Ids of the same minute
 * begin alike where they begin with the time, so people see their ends.
 */
import { sql } from "kysely";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";
import { NotFoundError } from "./errors.ts";

const LEAST_DIGITS = 4;
const ALL_DIGITS = 32;
const MOST_CANDIDATES = 5;
/** So far may the clock of the database be ahead of ours. */
const CLOCKS_APART_MS = 86_400_000;

interface Kind {
  table: "tasks" | "epics";
  one: string;
  many: string;
}

const TASK: Kind = { table: "tasks", one: "task", many: "tasks" };
const EPIC: Kind = { table: "epics", one: "epic", many: "epics" };

/** An id with what it is about, for completion. */
export interface Named {
  id: string;
  prompt: string;
}

/**
 * The task's id.
 * @throws NotFoundError where there is none, where several begin or end like that (it names them), or where it is no id
 */
export async function findTask(database: Database, given: string): Promise<string> {
  return given === "@last" ? newest(TASK, await lastFiledTask(database)) : await find(database, TASK, given);
}

/** The ids of all of them, each once, in the order given. @throws NotFoundError as findTask, where one is none */
export async function findTasks(database: Database, given: readonly string[]): Promise<string[]> {
  const ids = new Set<string>();
  for (const one of given) ids.add(await findTask(database, one));
  return [...ids];
}

/** The epic's id. @throws NotFoundError as findTask */
export async function findEpic(database: Database, given: string): Promise<string> {
  return given === "@last" ? newest(EPIC, await newestEpics(database, 1)) : await find(database, EPIC, given);
}

/** Ids of the newest tasks with their prompts' beginnings, for completion. */
export async function newestTasks(database: Database, limit: number): Promise<Named[]> {
  const result = await asking(
    sql<Named>`
      select id, left(prompt, 200) as prompt from tasks order by created_at desc limit ${limit}`.execute(database.db),
  );
  return result.rows;
}

/**
 * The task that was filed last, as far as its id (version 7) and `created_at` tell: people change `created_at` to move a
 * task, which makes it no older. None or one row.
 */
async function lastFiledTask(database: Database): Promise<{ id: string }[]> {
  const soon = (Date.now() + CLOCKS_APART_MS).toString(16).padStart(12, "0");
  const bound = `${soon.slice(0, 8)}-${soon.slice(8)}-7000-8000-000000000000`;
  const isTimed = sql`substr(id::text, 15, 1) = '7'`;
  const result = await asking(
    sql<{ id: string }>`
      with candidates as (
        (select id, created_at from tasks order by created_at desc limit 20)
        union
        (select id, created_at from tasks where id < ${bound} and ${isTimed} order by id desc limit 1))
      select id from candidates
      order by greatest(
        case when created_at <= now() then created_at end,
        case when id < ${bound} and ${isTimed}
          then to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) end
      ) desc nulls last, id desc
      limit 1`.execute(database.db),
  );
  return result.rows;
}

/** Ids of the newest epics with their titles, for completion. */
export async function newestEpics(database: Database, limit: number): Promise<Named[]> {
  const result = await asking(
    sql<Named>`select id, title as prompt from epics order by created_at desc limit ${limit}`.execute(database.db),
  );
  return result.rows;
}

async function find(database: Database, kind: Kind, given: string): Promise<string> {
  const digits = given.trim().toLowerCase().replaceAll("-", "");
  if (!/^[0-9a-f]+$/.test(digits) || digits.length > ALL_DIGITS || digits.length < LEAST_DIGITS) {
    throw new NotFoundError(
      `"${given.slice(0, 60)}" is no ${kind.one} id: give one, or at least its first or last ${LEAST_DIGITS} digits, or @last.`,
    );
  }
  const found = await idsLike(database, kind, digits);
  const [only] = found;
  if (only === undefined) throw new NotFoundError(`There is no ${kind.one} whose id begins or ends with "${given}".`);
  if (found.length === 1) return only;
  const more = found.length > MOST_CANDIDATES ? " and others" : "";
  throw new NotFoundError(
    `"${given}" is the beginning or end of several ${kind.many}: ${found.slice(0, MOST_CANDIDATES).join(", ")}${more}.`,
  );
}

function newest(kind: Kind, rows: readonly { id: string }[]): string {
  const [row] = rows;
  if (row === undefined) throw new NotFoundError(`There is no ${kind.one} yet.`);
  return row.id;
}

/** In their order. Beginnings are found by the primary key's index; ends are looked for in all ids. */
async function idsLike(database: Database, kind: Kind, digits: string): Promise<string[]> {
  const table = sql.table(kind.table);
  const first = digits.padEnd(ALL_DIGITS, "0");
  const last = digits.padEnd(ALL_DIGITS, "f");
  const result = await asking(
    sql<{ id: string }>`
      (select id from ${table} where id between ${first} and ${last} order by id limit ${MOST_CANDIDATES + 1})
      union
      (select id from ${table}
       where ${digits.length < ALL_DIGITS} and id::text like ${ending(digits)} limit ${MOST_CANDIDATES + 1})
      order by id`.execute(database.db),
  );
  return result.rows.map((row) => row.id);
}

/** The pattern of ids that end like this: an underscore stands for any digit. */
function ending(digits: string): string {
  return digits.padStart(ALL_DIGITS, "_").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
