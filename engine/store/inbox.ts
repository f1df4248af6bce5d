/** What waits for people: pending tasks of addressees that no engine runs. */
import { sql } from "kysely";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";
import { NotFoundError } from "./errors.ts";
import type { TaskRow } from "./tasks.ts";

/** A row of the view inbox, with the title of its epic. */
export interface Question {
  id: string;
  /** `question`, `approval` …; null: not said. */
  kind: string | null;
  addressee: string;
  prompt: string;
  epic: string | null;
  epic_title: string | null;
  created_by: string | null;
  repo_url: string | null;
  created_at: Date;
}

/** Oldest first. */
export async function listInbox(database: Database): Promise<Question[]> {
  const result = await asking(
    sql<Question>`
      select i.id, i.kind, i.addressee, i.prompt, i.epic, e.title as epic_title, i.created_by, i.repo_url,
        i.created_at
      from inbox i left join epics e on e.id = i.epic
      order by i.created_at, i.id`.execute(database.db),
  );
  return result.rows;
}

/** The id of the question that came last. @throws NotFoundError where none waits */
export async function newestQuestion(database: Database): Promise<string> {
  const newest = (await listInbox(database)).at(-1);
  if (newest === undefined) throw new NotFoundError("Nothing waits for an answer.");
  return newest.id;
}

/** Completes a task for a person. @throws RefusedError where it is no person's or has ended, NotFoundError */
export async function answerTask(
  database: Database,
  id: string,
  given: { answer: string; success: boolean },
): Promise<TaskRow> {
  const result = await asking(
    sql<TaskRow>`select * from answer(${id}, ${given.answer}, ${given.success})`.execute(database.db),
  );
  const [task] = result.rows;
  if (task === undefined) throw new Error(`no row came back for task ${id}`);
  return task;
}
