/** What happened, from every witness: the database's rows, the job server's record, what the suite filed and edited. */
import type pg from "pg";
import type { CapacitySpan } from "./hand-edits.ts";
import type { Filed } from "./filing.ts";
import type { JobRecord } from "./job-protocol.ts";

/** Times: wall clock, ms since 1970, with fractions. */
export interface RunRow {
  id: string;
  task_id: string;
  addressee: string;
  slot: number;
  attempt: number;
  epoch: number;
  started_at: number;
  finished_at: number | null;
  success: boolean | null;
  failure_code: string | null;
  stopping: boolean;
}

export interface EventRow {
  id: number;
  task_id: string;
  run_id: string | null;
  at: number;
  application: string;
  event: string;
  from_status: string | null;
  to_status: string | null;
}

export interface TaskRow {
  id: string;
  addressee: string;
  status: string;
  result: { success?: boolean; attempt?: number; summary?: string } | null;
  prompt: string;
  key: number;
}

export interface History {
  /** Just before the rows were read: jobs may be younger. */
  takenAt: number;
  runs: RunRow[];
  /** In the order of their ids. */
  events: EventRow[];
  tasks: TaskRow[];
  jobs: JobRecord[];
  filed: ReadonlyMap<string, Filed>;
  capacities: ReadonlyMap<string, readonly CapacitySpan[]>;
}

/** Tasks, runs and events as one snapshot. Jobs are asked for afterwards: what a run shows, its job shows too. */
export async function readHistory(admin: pg.Pool): Promise<Pick<History, "takenAt" | "runs" | "events" | "tasks">> {
  const client = await admin.connect();
  try {
    const takenAt = Date.now();
    await client.query("begin isolation level repeatable read read only");
    const runs = await client.query<RunRow>(
      `select id, task_id, addressee, slot, attempt, epoch::integer, success, failure_code,
         stop_requested_at is not null as stopping,
         extract(epoch from started_at)::float8 * 1000 as started_at,
         extract(epoch from finished_at)::float8 * 1000 as finished_at
       from runs order by started_at`,
    );
    const events = await client.query<EventRow>(
      `select id::integer, task_id, run_id, application, event, from_status, to_status,
         extract(epoch from at)::float8 * 1000 as at
       from task_events order by id`,
    );
    const tasks = await client.query<TaskRow>(
      `select id, addressee, status, result, left(prompt, 60) as prompt,
         (extract(epoch from created_at) * 1000000)::float8 as key
       from tasks`,
    );
    await client.query("commit");
    client.release();
    return { takenAt, runs: runs.rows, events: events.rows, tasks: tasks.rows };
  } catch (error) {
    client.release(true);
    throw error;
  }
}
