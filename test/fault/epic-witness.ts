/**
 * The suite's own witness of what epics do: a row for each change that matters, written by triggers in the same
 * transaction, in the order in which it happened. What is deleted, joined or overwritten later stays told here.
 */
import type pg from "pg";
import { CHILD_MARK } from "./green-plans.ts";

/** `seq`: of two changes under one lock the earlier has the smaller. Times: wall clock, ms since 1970. */
export interface Witnessed {
  seq: number;
  xact: string;
  at: number;
}

/** An epic, as each statement left it. */
export interface EpicState extends Witnessed {
  epic: string;
  addressee: string;
  state: "active" | "finished" | "failed" | "stopped";
  end_code: string | null;
  tasks: number;
  runs: number;
  tokens: number;
  cost_usd: number;
  stalls: number;
  max_tasks: number;
  max_tasks_per_run: number;
  max_depth: number;
  max_failures_in_a_row: number;
  max_runs: number;
  max_live_runs: number;
  max_tokens: number | null;
  max_cost_usd: number | null;
}

/** A task of an epic, also one that was deleted since. */
export interface EpicTask extends Witnessed {
  task: string;
  epic: string;
  addressee: string;
  /** Whether it is a Green's. */
  created_by_green: boolean;
  created_by: string | null;
  /** `RUN N`: which child of which run; null: none. */
  child: string | null;
  depth: number;
  kind: string | null;
  step: string | null;
  group: string | null;
}

/** This wake-up tells this task's result. */
export interface Told extends Witnessed {
  wake_up: string;
  task: string;
}

export interface EpicEvent extends Witnessed {
  task: string;
  run: string | null;
  event: string;
  from: string | null;
  to: string | null;
  success: boolean;
  code: string | null;
}

/** What a run asked for and did not get. */
export interface Refusal {
  child: string;
}

export interface EpicRun {
  id: string;
  task: string;
  epic: string | null;
  addressee: string;
  project: string | null;
  repo_url: string | null;
  paths: string[] | null;
  started_at: number;
  finished_at: number | null;
  settled: boolean;
  success: boolean | null;
  tokens: number;
  cost_usd: number;
}

export interface EpicHistory {
  /** In the order of seq, all of them. */
  states: EpicState[];
  tasks: EpicTask[];
  told: Told[];
  events: EpicEvent[];
  refusals: Refusal[];
  /** In the order of started_at. */
  runs: EpicRun[];
}

const SCHEMA = `
create table fault_suite.witness (
  seq bigint generated always as identity primary key,
  xact text not null default pg_current_xact_id()::text,
  at timestamptz not null default clock_timestamp(),
  what text not null,
  row jsonb not null);
create function fault_suite.see() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into fault_suite.witness (what, row) values (tg_table_name, case
    when tg_table_name = 'tasks' then to_jsonb(new) || jsonb_build_object('prompt', left(to_jsonb(new) ->> 'prompt', 600))
    when tg_table_name = 'wake_up_results' then to_jsonb(new) - 'result'
    else to_jsonb(new) end);
  return null;
end $$;
create trigger see after insert or update on epics for each row execute function fault_suite.see();
create trigger see after insert or update on wake_up_results for each row execute function fault_suite.see();
create trigger see after insert or update on task_options for each row execute function fault_suite.see();
create trigger see after insert on tasks for each row execute function fault_suite.see();
create trigger see after insert on task_events for each row execute function fault_suite.see();
create trigger see after insert on epic_notes for each row execute function fault_suite.see();
`;

/** Made beside the schema, in the schema that prepareChecks() makes. */
export async function prepareWitness(admin: pg.Pool): Promise<void> {
  await admin.query(SCHEMA);
}

const WITNESSED = "w.seq::float8 as seq, w.xact, extract(epoch from w.at)::float8 * 1000 as at";

const EPIC_TASKS = `
  select ${WITNESSED}, w.row ->> 'id' as task, o.row ->> 'epic' as epic, w.row ->> 'addressee' as addressee,
    coalesce(w.row ->> 'created_by' like 'project-mgr-%', false) as created_by_green, w.row ->> 'created_by' as created_by,
    w.row ->> 'prompt' as prompt, (o.row ->> 'depth')::integer as depth, o.row ->> 'kind' as kind, o.row ->> 'step' as step,
    o.row ->> 'group_id' as "group"
  from fault_suite.witness w
  join (
    select distinct on (row ->> 'task_id') row from fault_suite.witness where what = 'task_options'
    order by row ->> 'task_id', seq desc
  ) o on o.row ->> 'task_id' = w.row ->> 'id'
  where w.what = 'tasks' and o.row ->> 'epic' is not null
  order by w.seq`;

/** Everything as one snapshot. */
export async function readEpicHistory(admin: pg.Pool): Promise<EpicHistory> {
  const client = await admin.connect();
  try {
    await client.query("begin isolation level repeatable read read only");
    const rowsOf = async <T>(text: string): Promise<T[]> => (await client.query(text)).rows as T[];
    const states = await rowsOf<EpicState>(
      `select ${WITNESSED}, w.row ->> 'id' as epic, e.* from fault_suite.witness w,
         jsonb_to_record(w.row) e (addressee text, state text, end_code text, tasks integer, runs integer, tokens float8,
           cost_usd float8, stalls integer, max_tasks integer, max_tasks_per_run integer, max_depth integer,
           max_failures_in_a_row integer, max_runs integer, max_live_runs integer, max_tokens float8, max_cost_usd float8)
       where w.what = 'epics' order by w.seq`,
    );
    const tasks = await rowsOf<EpicTask & { prompt: string }>(EPIC_TASKS);
    const told = await rowsOf<Told>(
      `select ${WITNESSED}, w.row ->> 'wake_up_id' as wake_up, w.row ->> 'task_id' as task from fault_suite.witness w
       where w.what = 'wake_up_results'
         -- what a deleted wake-up was to tell is kept with its own task until the next one tells it
         and w.row ->> 'wake_up_id' <> w.row ->> 'task_id'
       order by w.seq`,
    );
    const events = await rowsOf<EpicEvent>(
      `select ${WITNESSED}, w.row ->> 'task_id' as task, w.row ->> 'run_id' as run, w.row ->> 'event' as event,
         w.row ->> 'from_status' as "from", w.row ->> 'to_status' as "to",
         coalesce(w.row -> 'detail' ->> 'success' = 'true', false) as success, w.row -> 'detail' ->> 'code' as code
       from fault_suite.witness w
       where w.what = 'task_events' and w.row ->> 'event' <> 'child_refused' and w.row ->> 'task_id' in (
         select o.row ->> 'task_id' from fault_suite.witness o where o.what = 'task_options' and o.row ->> 'epic' is not null
         union all
         select t.row ->> 'id' from fault_suite.witness t where t.what = 'tasks' and t.row ->> 'addressee' ~ '^lead-')
       order by w.seq`,
    );
    const notes = await rowsOf<{ note: string }>(
      `select w.row ->> 'note' as note from fault_suite.witness w
       where w.what = 'epic_notes' and w.row ->> 'note' like 'A task that you asked for was refused:%' order by w.seq`,
    );
    const runs = await rowsOf<EpicRun>(
      `select id, task_id as task, epic, addressee, project, repo_url, paths, success,
         coalesce(finished_at, settled_at) is not null as settled,
         extract(epoch from started_at)::float8 * 1000 as started_at,
         extract(epoch from finished_at)::float8 * 1000 as finished_at,
         (coalesce(input_tokens, 0) + coalesce(output_tokens, 0) + coalesce(cache_creation_tokens, 0))::float8 as tokens,
         coalesce(cost_usd, 0)::float8 as cost_usd
       from runs where epic is not null or project is not null order by started_at`,
    );
    await client.query("commit");
    client.release();
    return {
      states,
      // what an agent's words were quoted in is not its child
      tasks: tasks.map(({ prompt, ...task }) => ({
        ...task,
        child: task.created_by === "engine" ? null : childOf(prompt),
      })),
      told,
      events,
      refusals: notes.flatMap(({ note }) => {
        const child = childOf(note);
        return child === null ? [] : [{ child }];
      }),
      runs,
    };
  } catch (error) {
    client.release(true);
    throw error;
  }
}

function childOf(text: string): string | null {
  return CHILD_MARK.exec(text)?.[1] ?? null;
}

/** What must be true of epics at any moment, as the tables alone show it. Cheap enough for every step. */
export async function epicViolations(admin: pg.Pool): Promise<string[]> {
  const { rows } = await admin.query<{ what: string }>(
    `select format('epic %s is open, and nothing of it is pending, running or waits for a person', e.id) as what
     from epics e
     where e.state = 'active'
       and not exists (
         select from task_options o join tasks t on t.id = o.task_id where o.epic = e.id and t.status <> 'completed')
       -- a wake-up that somebody deleted: the engine looks for that every five minutes
       and not exists (
         select from fault_suite.witness o
         join task_events d on d.task_id = (o.row ->> 'task_id')::uuid and d.event = 'deleted'
         where o.what = 'task_options' and o.row ->> 'epic' = e.id::text)
     union all
     select format('task %s is %s, and its epic %s has ended (%s)', t.id, t.status, e.id, e.end_code)
     from epics e
     join task_options o on o.epic = e.id
     join tasks t on t.id = o.task_id
     where e.state <> 'active' and (t.status = 'pending' or (t.status = 'running' and ${STOPS_RUNNING}))
       and not ${AGAIN_BY_HAND}
     union all
     select format('run %s goes on, and its epic %s has ended (%s)', r.id, e.id, e.end_code)
     from epics e
     join runs r on r.epic = e.id and r.finished_at is null and r.stop_requested_at is null
     join task_options o on o.task_id = r.task_id
     where e.state <> 'active' and ${STOPS_RUNNING} and not ${AGAIN_BY_HAND}`,
  );
  return rows.map(({ what }) => what);
}

/** Each wake-up's prompt names every task whose result it tells. */
export async function promptViolations(admin: pg.Pool): Promise<string[]> {
  const { rows } = await admin.query<{ what: string }>(
    `select format('wake-up %s does not name task %s, which it tells', w.wake_up_id, w.task_id) as what
     from wake_up_results w
     join tasks t on t.id = w.wake_up_id
     join task_options o on o.task_id = t.id and o.kind = 'wake_up'
     where position(w.task_id::text in t.prompt) = 0 limit 20`,
  );
  return rows.map(({ what }) => what);
}

const STOPS_RUNNING = "e.end_code not in ('finished', 'gave_up', 'max_tasks', 'stalled')";
const AGAIN_BY_HAND = `exists (
  select from task_events a where a.task_id = o.task_id and a.event = 'rescheduled' and a.at >= e.ended_at)`;
