/** Live runs as the loops see them, and what they write about them. */
import { sql } from "kysely";
import type { SelectQueryBuilder } from "kysely";
import type { Report } from "../../worker-image/contract.ts";
import type { LiveRun } from "../domain/reconcile.ts";
import type { ProfileSecrets } from "../domain/job.ts";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";
import { isOfPublish } from "./transcripts.ts";
import type { DB } from "./database.ts";

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
  profile: string;
  /** Of the profile, as it is stored; null: none. */
  pod_template: unknown;
  /** What is noted of its wait for a place. */
  waiting_for: string | null;
  /** Of the profile, by variable; null: the profile is gone. */
  secrets: ProfileSecrets | null;
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
  slot: number;
  retries: number;
  stopReason: string | null;
  report: Report | null;
  /** publish has stored one; a log that the engine has kept is none. */
  hasTranscript: boolean;
  hasKeptLog: boolean;
}

/** Which live runs to read: these; those that the database itself wants looked at; or the next ones, in one order. */
export type WhichRuns =
  | { ids: readonly string[] }
  /** Their report is in, or they are to be stopped; those whose task is settled end by themselves. */
  | { told: true }
  | { after: Pick<SettleableRun, "addressee" | "slot"> | null; limit: number };

/** Live runs of this host. */
export async function liveRuns(database: Database, host: string | null, which: WhichRuns): Promise<SettleableRun[]> {
  const rows = await asking(
    database.db
      .selectFrom("runs")
      .select((run) => [
        run
          .selectFrom("run_transcripts")
          .select(isOfPublish.as("of_publish"))
          .whereRef("run_id", "=", "runs.id")
          .as("transcript_of_publish"),
        sql<number | null>`(extract(epoch from myzel_now() - settled_at) * 1000)::float8`.as("settled_for_ms"),
        "id",
        "task_id",
        "addressee",
        "slot",
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
      .$call((live) => narrow(live, which))
      .execute(),
  );
  return rows.map((row) => ({
    id: row.id,
    taskId: row.task_id,
    addressee: row.addressee,
    slot: row.slot,
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
    hasTranscript: row.transcript_of_publish === true,
    hasKeptLog: row.transcript_of_publish === false,
  }));
}

type Reading<Row> = SelectQueryBuilder<DB, "runs", Row>;

function narrow<Row>(live: Reading<Row>, which: WhichRuns): Reading<Row> {
  if ("ids" in which) return live.where(sql<boolean>`id = any(${which.ids}::uuid[])`);
  if ("told" in which) {
    return live.where(sql<boolean>`(report is not null or stop_requested_at is not null) and settled_at is null`);
  }
  const { after, limit } = which;
  const behind = sql<boolean>`(addressee, slot) > (${after?.addressee ?? ""}, ${after?.slot ?? 0}::integer)`;
  return live.where(behind).orderBy("addressee").orderBy("slot").limit(limit);
}

/** A live run whose log may be followed. */
export interface FollowableRun {
  id: string;
  jobName: string;
  /** Of its profile. */
  silenceLimitMs: number;
}

/** The oldest live runs of this host whose job exists and waits for nothing. */
export async function followableRuns(database: Database, host: string | null, limit: number): Promise<FollowableRun[]> {
  const result = await asking(
    sql<FollowableRun>`
      select r.id, r.job_name as "jobName",
        (extract(epoch from coalesce(p.silence_limit, interval '30 minutes')) * 1000)::float8 as "silenceLimitMs"
      from runs r
      left join profiles p on p.name = r.profile
      where r.finished_at is null and r.launched_at is not null and r.waiting_for is null
        and r.host is not distinct from ${host}
      order by r.started_at, r.id
      limit ${limit}`.execute(database.db),
  );
  return result.rows;
}

/**
 * Stores the report of a run that cannot write one itself: it is settled from it, as if publish had written it.
 * Locks: the epoch (shared), the run.
 * @returns false, and nothing is changed, where it has a report, has ended or is to be stopped
 * @throws StaleEpochError
 */
export async function reportInstead(
  database: Database,
  epoch: number,
  runId: string,
  report: Report,
): Promise<boolean> {
  const work = database.db.transaction().execute(async (transaction) => {
    await sql`select hold_epoch(${epoch})`.execute(transaction);
    const result = await sql`
      update runs set report = ${JSON.stringify(report)}::jsonb
      where id = ${runId} and report is null and finished_at is null and stop_requested_at is null
      returning pg_notify('myzel', '')`.execute(transaction);
    return result.rows.length > 0;
  });
  return await asking(work);
}

/** Which of these runs are live at this moment. */
export async function stillLive(database: Database, runIds: readonly string[]): Promise<Set<string>> {
  if (runIds.length === 0) return new Set();
  const rows = await asking(
    database.db.selectFrom("runs").select("id").where("id", "in", runIds).where("finished_at", "is", null).execute(),
  );
  return new Set(rows.map((row) => row.id));
}
