/** Live runs as the loops see them, and what they write about them. */
import { sql } from "kysely";
import type { Report } from "../../worker-image/contract.ts";
import type { Settlement } from "../domain/outcome.ts";
import type { LiveRun } from "../domain/reconcile.ts";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";

/** A live run that has no job yet, with what its launch needs. */
export interface UnlaunchedRun {
  run_id: string;
  task_id: string;
  attempt: number;
  retries: number;
  addressee: string;
  job_name: string;
  repo_url: string | null;
  time_limit_seconds: number;
  image: string | null;
  cpu: string | null;
  memory: string | null;
  credential: string;
  env_var: string | null;
  file_path: string | null;
  secret_name: string | null;
  secret_key: string | null;
  role: string | null;
}

/** The oldest runs of this host that wait for their job; runs to be stopped are not among them. */
export async function unlaunchedRuns(database: Database, host: string | null, limit: number): Promise<UnlaunchedRun[]> {
  const result = await asking(
    sql<UnlaunchedRun>`
      select * from unlaunched_runs
      where host is not distinct from ${host}
      order by claimed_at
      limit ${limit}`.execute(database.db),
  );
  return result.rows;
}

export interface LaunchedRun {
  runId: string;
  podName: string | null;
}

/** Notes that the jobs of these runs exist, in one transaction; runs that have ended meanwhile are left alone. @throws StaleEpochError */
export async function markLaunched(database: Database, epoch: number, runs: readonly LaunchedRun[]): Promise<void> {
  await asking(
    sql`select mark_launched(
      ${epoch}, ${runs.map((run) => run.runId)}::uuid[], ${runs.map((run) => run.podName)}::text[])`.execute(
      database.db,
    ),
  );
}

/** Notes what the job of a live run waits for, in a sentence; null: for nothing. @throws StaleEpochError */
export async function noteWaiting(
  database: Database,
  epoch: number,
  runId: string,
  waitingFor: string | null,
): Promise<void> {
  await asking(sql`select note_waiting(${epoch}, ${runId}, ${waitingFor})`.execute(database.db));
}

/** A live run with what its settlement depends on. */
export interface SettleableRun extends LiveRun {
  taskId: string;
  attempt: number;
  addressee: string;
  retries: number;
  stopReason: string | null;
  report: Report | null;
  /** publish has stored one. */
  hasTranscript: boolean;
}

/** All live runs of this host. */
export async function liveRuns(database: Database, host: string | null): Promise<SettleableRun[]> {
  const rows = await asking(
    database.db
      .selectFrom("runs")
      .select((run) => [
        run
          .exists(run.selectFrom("run_transcripts").select("run_id").whereRef("run_id", "=", "runs.id"))
          .as("has_transcript"),
        sql<number | null>`(extract(epoch from myzel_now() - settled_at) * 1000)::float8`.as("settled_for_ms"),
        "id",
        "task_id",
        "addressee",
        "attempt",
        "retries",
        "job_name",
        "host",
        "pod_name",
        "launched_at",
        "stop_requested_at",
        "stop_reason",
        "waiting_for",
        "report",
      ])
      .where("finished_at", "is", null)
      .where("host", host === null ? "is" : "=", host)
      .execute(),
  );
  return rows.map((row) => ({
    id: row.id,
    taskId: row.task_id,
    addressee: row.addressee,
    attempt: row.attempt,
    retries: row.retries,
    jobName: row.job_name,
    host: row.host,
    podName: row.pod_name,
    launched: row.launched_at !== null,
    stopRequested: row.stop_requested_at !== null,
    waitingFor: row.waiting_for,
    reported: row.report !== null,
    settledForMs: row.settled_for_ms,
    stopReason: row.stop_requested_at === null ? null : row.stop_reason,
    report: row.report as unknown as Report | null,
    hasTranscript: Boolean(row.has_transcript),
  }));
}

/** Which of these runs are live at this moment. */
export async function stillLive(database: Database, runIds: readonly string[]): Promise<Set<string>> {
  if (runIds.length === 0) return new Set();
  const rows = await asking(
    database.db.selectFrom("runs").select("id").where("id", "in", runIds).where("finished_at", "is", null).execute(),
  );
  return new Set(rows.map((row) => row.id));
}

/** The reports that publish stored for these runs, by run id; runs without one are not in it. */
export async function storedReports(database: Database, runIds: readonly string[]): Promise<Map<string, Report>> {
  if (runIds.length === 0) return new Map();
  const rows = await asking(
    database.db
      .selectFrom("runs")
      .select(["id", "report"])
      .where("id", "in", runIds)
      .where("report", "is not", null)
      .execute(),
  );
  return new Map(rows.map((row) => [row.id, row.report as unknown as Report]));
}

export interface RunSettlement {
  runId: string;
  settlement: Settlement;
  /** For what was not noted while it ran. */
  podName: string | null;
  /** False: only the report is in. */
  jobEnded: boolean;
}

/**
 * Settles runs in one transaction: see sql/functions/settle_runs.sql.
 * @returns the runs that this call settled; the others had been settled before
 * @throws StaleEpochError
 */
export async function settleRuns(
  database: Database,
  epoch: number,
  settlements: readonly RunSettlement[],
): Promise<Set<string>> {
  const rows = settlements.map(({ runId, podName, jobEnded, settlement }) => ({
    run_id: runId,
    pod_name: podName,
    job_ended: jobEnded,
    ...settlement,
  }));
  const result = await asking(
    sql<{ run_id: string }>`
      select run_id from settle_runs(${epoch}, ${JSON.stringify(rows)}::jsonb)
      where answer = 'settled'`.execute(database.db),
  );
  return new Set(result.rows.map((row) => row.run_id));
}
