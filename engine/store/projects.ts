/** Projects as people add, list and change them. */
import { sql } from "kysely";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";
import { NotFoundError, RefusedError } from "./errors.ts";

/** Columns of projects that people set. */
export interface ProjectSettings {
  repo_url: string;
  default_branch: string | null;
  plan_branch: string;
  setup_command: string | null;
  check_command: string | null;
  merge_policy: string | null;
  host_api: string | null;
  host_api_url: string | null;
  approver: string;
  green_profile: string | null;
  red_profile: string | null;
  credential: string | null;
  max_live_runs: number | null;
  max_daily_cost_usd: number | null;
  paused: boolean;
  epic_max_tasks: number | null;
  epic_max_tasks_per_run: number | null;
  epic_max_depth: number | null;
  epic_max_failures_in_a_row: number | null;
  epic_max_runs: number | null;
  epic_max_live_runs: number | null;
  epic_max_tokens: number | null;
  epic_max_cost_usd: number | null;
  /** In Postgres's words: `7 days`. */
  epic_max_wall_time: string | null;
}

/** A project with what goes on in it. */
export interface ShownProject extends ProjectSettings {
  name: string;
  created_at: Date;
  /** What it comes to where merge_policy says nothing. */
  merges_by: "pull_request" | "approval" | "auto";
  live_runs: number;
  active_epics: number;
  /** At list price, of the runs that ended since midnight UTC. */
  cost_today_usd: number;
}

/** Null: the column's default. */
export type ProjectChange = { [Column in keyof ProjectSettings]?: ProjectSettings[Column] | null };

/** In the order of their names. */
export async function listProjects(database: Database): Promise<ShownProject[]> {
  return await selectProjects(database, null);
}

/** @throws NotFoundError with the names that there are */
export async function showProject(database: Database, name: string): Promise<ShownProject> {
  const [project] = await selectProjects(database, name);
  return project ?? (await refuseUnknown(database, name));
}

/** The name of the repository's project; null where it has none. */
export async function projectOfRepository(database: Database, repoUrl: string): Promise<string | null> {
  const result = await asking(
    sql<{ name: string }>`
      select name from projects where repository_key(repo_url) = repository_key(${repoUrl})`.execute(database.db),
  );
  return result.rows[0]?.name ?? null;
}

/** @throws RefusedError with a sentence for each mistake */
export async function addProject(
  database: Database,
  name: string,
  settings: ProjectChange & { repo_url: string },
): Promise<ShownProject> {
  const given = { name, ...settings };
  const query = sql`
    insert into projects (${sql.join(Object.keys(given).map((column) => sql.ref(column)))})
    values (${sql.join(Object.values(given).map(valueOrDefault))})`;
  await judged(database, name, settings, asking(query.execute(database.db)));
  return await showProject(database, name);
}

/** @throws RefusedError with a sentence for each mistake, NotFoundError */
export async function changeProject(database: Database, name: string, change: ProjectChange): Promise<ShownProject> {
  const columns = Object.entries(change).map(([column, value]) => sql`${sql.ref(column)} = ${valueOrDefault(value)}`);
  const query = sql`update projects set ${sql.join(columns)} where name = ${name} returning name`;
  const changed = await judged(database, name, change, asking(query.execute(database.db)));
  return changed.rows.length === 0 ? await refuseUnknown(database, name) : await showProject(database, name);
}

function valueOrDefault(value: string | number | boolean | null) {
  return value === null ? sql`default` : sql`${value}`;
}

async function selectProjects(database: Database, name: string | null): Promise<ShownProject[]> {
  const result = await asking(
    sql<ShownProject>`
      select p.*, p.epic_max_wall_time::text as epic_max_wall_time, merge_policy(p, p.repo_url) as merges_by,
        (select count(*)::integer from runs r where r.finished_at is null and r.project = p.name) as live_runs,
        (select count(*)::integer from epics e where e.state = 'active' and e.project = p.name) as active_epics,
        coalesce((select d.cost_usd from project_days d
                  where d.project = p.name and d.day = (myzel_now() at time zone 'UTC')::date), 0) as cost_today_usd
      from projects p
      where ${name}::text is null or p.name = ${name}
      order by p.name`.execute(database.db),
  );
  return result.rows;
}

async function refuseUnknown(database: Database, name: string): Promise<never> {
  const { rows } = await asking(
    sql<{ name: string }>`select name from projects order by name limit 10`.execute(database.db),
  );
  const known =
    rows.length === 0
      ? "There is none yet; add one with: myzel project add NAME"
      : `There are: ${rows.map((row) => row.name).join(", ")}.`;
  throw new NotFoundError(`There is no project "${name}". ${known}`);
}

/** A refusal by a unique index as a sentence that says what to do; all else is judged by project_problem(). */
async function judged<T>(database: Database, name: string, change: ProjectChange, query: Promise<T>): Promise<T> {
  try {
    return await query;
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    const { constraint } = error.cause as { constraint?: string };
    if (constraint === "projects_repository") {
      const other = await projectOfRepository(database, change.repo_url ?? "");
      throw new RefusedError(
        `The repository ${change.repo_url} has a project already${other === null ? "" : `: "${other}"`}.`,
        { cause: error },
      );
    }
    if (constraint !== "projects_pkey") throw error;
    throw new RefusedError(`There is a project "${name}" already; change it with: myzel project set ${name}`, {
      cause: error,
    });
  }
}
