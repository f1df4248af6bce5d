/** What the settlement of runs depends on, and the settling itself. */
import { sql } from "kysely";
import type { Report } from "../../worker-image/contract.ts";
import type { Past, Settlement } from "../domain/outcome.ts";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";

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

/** What went before these runs, by run id; each ended with a code after which its task waits. */
export async function pastOfRuns(
  database: Database,
  runs: readonly { id: string; code: string }[],
): Promise<Map<string, Past>> {
  if (runs.length === 0) return new Map();
  const { rows } = await asking(
    sql<{ id: string; failures: number; overloads: number; is_blocked: boolean }>`
      select r.id, failures_in_a_row(r.id, given.code) as failures,
        coalesce(c.overloads_in_a_row, 0) as overloads, coalesce(c.blocked_until > myzel_now(), false) as is_blocked
      from unnest(${runs.map(({ id }) => id)}::uuid[], ${runs.map(({ code }) => code)}::text[]) given (id, code)
      join runs r on r.id = given.id
      left join credentials c on c.name = r.credential`.execute(database.db),
  );
  return new Map(
    rows.map((row) => [
      row.id,
      { failuresInARow: row.failures, overloadsInARow: row.overloads, isBlocked: row.is_blocked },
    ]),
  );
}

export interface RunSettlement {
  runId: string;
  settlement: Settlement;
  /** For what was not noted while it ran. */
  podName: string | null;
  /** False: only the report is in. */
  jobEnded: boolean;
}

/** What became of a batch; the runs that are in neither had been settled before. */
export interface Settled {
  settled: ReadonlySet<string>;
  /** To be tried again: somebody else is changing their tasks in an open transaction. */
  busy: ReadonlySet<string>;
}

/**
 * Settles runs in one transaction: see sql/functions/settle_runs.sql.
 * @throws StaleEpochError; BusyError where this ends an epic of which somebody else holds a task
 */
export async function settleRuns(
  database: Database,
  epoch: number,
  settlements: readonly RunSettlement[],
): Promise<Settled> {
  const rows = settlements.map(({ runId, podName, jobEnded, settlement }) => ({
    run_id: runId,
    pod_name: podName,
    job_ended: jobEnded,
    ...settlement,
  }));
  const result = await asking(
    sql<{ run_id: string; answer: string }>`
      select run_id, answer from settle_runs(${epoch}, ${JSON.stringify(rows)}::jsonb)
      where answer in ('settled', 'busy')`.execute(database.db),
  );
  const answered = (wanted: string) =>
    new Set(result.rows.filter(({ answer }) => answer === wanted).map((row) => row.run_id));
  return { settled: answered("settled"), busy: answered("busy") };
}
