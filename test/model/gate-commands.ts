/** What an operator does with gates that many tasks share: credentials, projects, costs of a day, paths, profiles. */
import { command, pick } from "./command.ts";
import type { QueueCommand } from "./command.ts";
import { pendingTasks, PROJECT, repositoryKey } from "./model.ts";

export const setCredential = (args: {
  name: string;
  blockedMs: number | null;
  problem: string | null;
  mostLive: number | null;
  keepReserve: boolean;
}): QueueCommand =>
  command("setCredential", args, async (model, real, { name, blockedMs, problem, mostLive, keepReserve }) => {
    const blockedUntil = blockedMs === null ? null : model.now + blockedMs;
    await real.operator.query(
      "update credentials set blocked_until = $2, problem = $3, max_live_runs = $4, keep_reserve = $5 where name = $1",
      [name, blockedUntil === null ? null : new Date(blockedUntil).toISOString(), problem, mostLive, keepReserve],
    );
    const warnedUntil = model.credentials.get(name)?.warnedUntil ?? null;
    model.credentials.set(name, { blockedUntil, problem, mostLive, keepReserve, warnedUntil });
  });

/** Null: there is no project any more. What its runs have cost stays known by its name. */
export const setProject = (
  set: { paused: boolean; mostLive: number | null; dailyCents: number | null } | null,
): QueueCommand =>
  command("setProject", set, async (model, real) => {
    const { name, repoUrl } = PROJECT;
    if (set === null) {
      await real.operator.query("delete from projects where name = $1", [name]);
      model.projects.delete(repositoryKey(repoUrl));
      return;
    }
    await real.operator.query(
      `insert into projects (name, repo_url, paused, max_live_runs, max_daily_cost_usd) values ($1, $2, $3, $4, $5 / 100.0)
       on conflict (name) do update set paused = $3, max_live_runs = $4, max_daily_cost_usd = $5 / 100.0`,
      [name, repoUrl, set.paused, set.mostLive, set.dailyCents],
    );
    model.projects.set(repositoryKey(repoUrl), { name, ...set });
  });

/** What all runs of a day may cost. */
export const setDailyCost = (cents: number | null): QueueCommand =>
  command("setDailyCost", cents, async (model, real) => {
    await real.operator.query("update engine_state set max_daily_cost_usd = $1 / 100.0", [cents]);
    model.dailyCents = cents;
  });

/** A pending task is said to change these; null: nothing is said. */
export const declarePaths = (args: { task: number; paths: string[] | null }): QueueCommand =>
  command("declarePaths", args, async (model, real, { task: index, paths }) => {
    const task = pick(
      pendingTasks(model).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
      index,
    );
    if (task === undefined) return;
    await real.operator.query(
      "insert into task_options (task_id, paths) values ($1, $2) on conflict (task_id) do update set paths = $2",
      [task.id, paths],
    );
    task.paths = paths;
  });

export const setProfile = (args: { name: string; credential: string; mayCreate: boolean }): QueueCommand =>
  command("setProfile", args, async (model, real, { name, credential, mayCreate }) => {
    await real.operator.query("update profiles set credential = $2, may_create_tasks = $3 where name = $1", [
      name,
      credential,
      mayCreate,
    ]);
    const role = model.profiles.get(name)?.role ?? "red";
    model.profiles.set(name, { role, credential, mayCreate });
  });
