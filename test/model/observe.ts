/** The same account of a model and of a database, line by line, so that a difference reads as one. */
import type pg from "pg";
import { newestRun, pendingTasks, whyPending } from "./model.ts";
import type { Model } from "./model.ts";

/** How the account names a task's result. */
export function resultText(result: { success: boolean; code: string | null; attempt: number | null }): string {
  return `${result.success ? "success" : (result.code ?? "failure")} of attempt ${result.attempt ?? "none"}`;
}

export function accountOfModel(model: Model): string[] {
  const lines: string[] = [];
  for (const task of model.tasks.values()) {
    lines.push(
      `task ${task.id} ${task.status} for ${task.addressee} of ${task.createdAt} in ${task.repoUrl ?? "none"}: ${task.result ?? "no result"}`,
    );
  }
  for (const run of model.runs) {
    const ending = run.stopping ? "stopping" : "live";
    const again = newestRun(model, run.taskId) === run ? run.retryAt : null;
    lines.push(
      `run ${run.id} ${run.live ? ending : "over"} for ${run.addressee}.${run.slot} of ${run.taskId}, attempt ${run.attempt} (${run.retries} repeated), again at ${again ?? "never"}, ${run.credential}`,
    );
  }
  for (const [name, { blockedUntil }] of model.credentials)
    lines.push(`${name} blocked until ${blockedUntil ?? "never"}`);
  for (const task of pendingTasks(model)) lines.push(`why ${task.id}: ${whyPending(model, task)}`);
  return lines.toSorted();
}

/** What the database says, with the clock of this session. Prepared: it is asked thousands of times. */
export async function accountOfDatabase(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>({ name: "account", text: ACCOUNT });
  return rows.map((row) => row.line).toSorted();
}

const ACCOUNT = `
  select format('task %s %s for %s of %s in %s: %s', id, status, addressee, ${ms("created_at")},
    coalesce(repo_url, 'none'),
    case when result is null then 'no result' else format('%s of attempt %s',
      case when (result ->> 'success')::boolean then 'success' else coalesce(result ->> 'code', 'failure') end,
      coalesce(result ->> 'attempt', 'none')) end) as line
  from tasks
  union all
  select format('run %s %s for %s.%s of %s, attempt %s (%s repeated), again at %s, %s', id,
    case when finished_at is not null then 'over' when stop_requested_at is not null then 'stopping' else 'live' end,
    addressee, slot, task_id, attempt, retries, coalesce(${ms("case when attempt = newest then retry_at end")}::text, 'never'), credential)
  from (select r.*, max(attempt) over (partition by task_id) as newest from runs r) r
  union all
  select format('%s blocked until %s', name, coalesce(${ms("blocked_until")}::text, 'never')) from credentials
  union all
  select format('why %s: %s', t.id, w.reason)
  from tasks t cross join lateral why_not_running(t.id) w
  where t.status = 'pending'`;

function ms(column: string): string {
  return `(extract(epoch from ${column}) * 1000)::bigint`;
}
