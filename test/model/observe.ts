/** The same account of a model and of a database, line by line, so that a difference reads as one. */
import type pg from "pg";
import { whyPending } from "./gates.ts";
import { continuedRun } from "./kept-work.ts";
import { newestRun, pendingTasks } from "./model.ts";
import { sentenceOf, SQL_SENTENCE } from "./sentences.ts";
import type { Model, ModelEpic, ModelRun, ModelTask } from "./model.ts";

export function accountOfModel(model: Model): string[] {
  const lines = [...model.tasks.values()].flatMap((task) => [taskLine(task), ...toldLines(task)]);
  for (const run of model.runs) lines.push(runLine(run, newestRun(model, run.taskId) === run));
  for (const run of model.runs.filter(({ live }) => live)) {
    lines.push(`run ${run.id} goes on from ${continuedRun(model, run)?.id ?? "the start"}`);
  }
  for (const epic of model.epics.values()) lines.push(epicLine(epic));
  for (const { epic, addressee, about, told } of model.notes) {
    lines.push(`note ${about} for ${addressee} of ${epic}, told by ${told?.id ?? "nobody"}`);
  }
  for (const [name, { blockedUntil, warnedUntil }] of model.credentials) {
    lines.push(`${name} blocked until ${timeText(blockedUntil)}, warned until ${timeText(warnedUntil)}`);
  }
  for (const { project, day, runs, tokens, cents } of model.days) {
    lines.push(`spent by ${project || "all"} on ${day}: ${runs} runs, ${tokens} tokens, ${cents} cents`);
  }
  for (const task of pendingTasks(model)) {
    const reason = whyPending(model, task);
    const sentence = sentenceOf(model, task, reason);
    lines.push(`why ${task.id}: ${reason}${sentence === null ? "" : `: ${sentence}`}`);
  }
  return lines.toSorted();
}

function taskLine(task: ModelTask): string {
  const { result } = task;
  const outcome = result?.success ? "success" : result?.code;
  const ended = result === null ? "no result" : `${outcome} of attempt ${result.attempt ?? "none"}`;
  return (
    `task ${task.id} ${task.status} for ${task.addressee} of ${task.createdAt} in ${task.repoUrl ?? "none"}: ${ended}; ` +
    `${task.kind ?? "task"} by ${task.createdBy ?? "a person"}, of ${task.parentId ?? "none"}, ` +
    `epic ${task.epic ?? "none"}, depth ${task.depth}, step ${task.step ?? "none"}`
  );
}

function toldLines(wakeUp: ModelTask): string[] {
  return [...wakeUp.told].map(
    ([task, { result }]) => `wake-up ${wakeUp.id} tells ${task}: ${result.success ? "success" : result.code}`,
  );
}

function runLine(run: ModelRun, newest: boolean): string {
  const ending = run.stopping ? "stopping" : "live";
  return (
    `run ${run.id} ${run.live ? ending : "over"} for ${run.addressee}.${run.slot} of ${run.taskId}, ` +
    `attempt ${run.attempt} (${run.retries} repeated), again at ${timeText(newest ? run.retryAt : null)}, ` +
    `${run.credential}, epic ${run.epic ?? "none"}`
  );
}

function epicLine(epic: ModelEpic): string {
  return (
    `epic ${epic.id} of ${epic.addressee} ${epic.state} (${epic.endCode ?? "no end"}) since ${timeText(epic.startedAt)}: ` +
    `${epic.tasks} tasks, ${epic.runs} runs, ${epic.tokens} tokens, ${epic.cents} cents, idle ${epic.stalls} times`
  );
}

function timeText(at: number | null): string {
  if (at === null) return "never";
  return at === Infinity ? "for ever" : String(at);
}

/** What the database says, with the clock of this session. Prepared: it is asked thousands of times. */
export async function accountOfDatabase(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>({ name: "account", text: ACCOUNT });
  return rows.map((row) => row.line).toSorted();
}

const OUTCOME = (result: string) =>
  `case when (${result} ->> 'success')::boolean then 'success' else coalesce(${result} ->> 'code', 'failure') end`;

const ACCOUNT = `
  select format('task %s %s for %s of %s in %s: %s; %s by %s, of %s, epic %s, depth %s, step %s', t.id, t.status, t.addressee,
    ${ms("t.created_at")}, coalesce(t.repo_url, 'none'),
    case when t.result is null then 'no result'
      else format('%s of attempt %s', ${OUTCOME("t.result")}, coalesce(t.result ->> 'attempt', 'none')) end,
    coalesce(o.kind, 'task'), case when t.created_by like '%operator_login' then 'a person' else t.created_by end,
    coalesce(t.parent_id::text, 'none'), coalesce(o.epic::text, 'none'), coalesce(o.depth, 0), coalesce(o.step, 'none')) as line
  from tasks t left join task_options o on o.task_id = t.id
  union all
  select format('wake-up %s tells %s: %s', wake_up_id, task_id, ${OUTCOME("result")}) from wake_up_results
  union all
  select format('run %s %s for %s.%s of %s, attempt %s (%s repeated), again at %s, %s, epic %s', id,
    case when finished_at is not null then 'over' when stop_requested_at is not null then 'stopping' else 'live' end,
    addressee, slot, task_id, attempt, retries, ${time("case when attempt = newest then retry_at end")}, credential,
    coalesce(epic::text, 'none'))
  from (select r.*, max(attempt) over (partition by task_id) as newest from runs r) r
  union all
  select format('run %s goes on from %s', id, coalesce(continued_run(task_id, attempt)::text, 'the start'))
  from runs where finished_at is null
  union all
  select format('epic %s of %s %s (%s) since %s: %s tasks, %s runs, %s tokens, %s cents, idle %s times', id, addressee, state,
    coalesce(end_code, 'no end'), ${time("started_at")}, tasks, runs, tokens, round(cost_usd * 100), stalls)
  from epics
  union all
  select format('note %s for %s of %s, told by %s',
    case when note like 'A task that you asked for was refused%' then 'refused'
      when note like 'A task that you created was deleted%' then 'deleted'
      when note like '% says that its part %' then 'part' else 'idle' end,
    addressee, epic, coalesce(wake_up_id::text, 'nobody'))
  from epic_notes
  union all
  select format('%s blocked until %s, warned until %s', name, ${time("blocked_until")}, ${time("warned_until")}) from credentials
  union all
  select format('spent by %s on %s: %s runs, %s tokens, %s cents', coalesce(nullif(project, ''), 'all'), day, runs, tokens,
    round(cost_usd * 100))
  from project_days
  union all
  select format('why %s: %s', t.id, ${SQL_SENTENCE})
  from tasks t cross join lateral why_not_running(t.id) w
  where t.status = 'pending'`;

function ms(column: string): string {
  return `(extract(epoch from ${column}) * 1000)::bigint`;
}

function time(column: string): string {
  return `case when ${column} is null then 'never' when not isfinite(${column}) then 'for ever' else ${ms(column)}::text end`;
}
