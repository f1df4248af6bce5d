/** Removing a project: only where nothing is under way that its settings are for. */
import { sql } from "kysely";
import type { Transaction } from "kysely";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";
import type { DB } from "./database.ts";
import { RefusedError } from "./errors.ts";
import { showProject } from "./projects.ts";
import type { ShownProject } from "./projects.ts";
import { rehearse } from "./rehearse.ts";

interface UnderWay {
  epics: number;
  runs: number;
  tasks: number;
}

/**
 * Removes the project and returns what it was; its tasks, epics and runs stay. With `dryRun` nothing is stored.
 * @throws NotFoundError with the names that there are; RefusedError where an epic of it is active, a run of it live, or a
 *   task of its repository pending. Locks: the project.
 */
export async function removeProject(database: Database, name: string, how: { dryRun: boolean }): Promise<ShownProject> {
  const project = await showProject(database, name);
  if (how.dryRun) await rehearse(database, (transaction) => removeIdle(transaction, name));
  else await asking(database.db.transaction().execute((transaction) => removeIdle(transaction, name)));
  return project;
}

async function removeIdle(transaction: Transaction<DB>, name: string): Promise<void> {
  const { rows } = await sql<UnderWay>`
    with p as (select * from projects where name = ${name} for update)
    select
      (select count(*)::integer from epics e where e.project = p.name and e.state = 'active') as epics,
      (select count(*)::integer from runs r where r.project = p.name and r.finished_at is null) as runs,
      (select count(*)::integer from tasks t
       where t.status = 'pending' and repository_key(t.repo_url) = repository_key(p.repo_url)) as tasks
    from p`.execute(transaction);
  if (rows[0] !== undefined) refuseUnderWay(name, rows[0]);
  await sql`delete from projects where name = ${name}`.execute(transaction);
}

function refuseUnderWay(name: string, { epics, runs, tasks }: UnderWay): void {
  const parts = [counted(epics, "active epic"), counted(runs, "live run"), counted(tasks, "pending task")];
  const said = parts.filter((part) => part !== null);
  if (said.length === 0) return;
  throw new RefusedError(
    `Project ${name} has ${said.join(", ")}, which go by its settings: wait for their end, or end them with ` +
      `myzel epic stop and myzel stop, then remove it. That nothing more starts meanwhile: myzel project pause ${name}`,
  );
}

function counted(count: number, one: string): string | null {
  return count === 0 ? null : `${count} ${one}${count === 1 ? "" : "s"}`;
}
