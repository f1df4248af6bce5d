/** What runs left unpushed, as it is kept: see sql/functions/kept_work.sql. */
import { sql } from "kysely";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";

/** What one attempt left. */
export interface KeptWork {
  run_id: string;
  attempt: number;
  /** How it ended. */
  failure_code: string | null;
  stored_at: Date;
  branch: string | null;
  /** What its commits are compared with: where they begin; of a Green, what its plan began from. Null: nothing on the remote. */
  base_sha: string | null;
  /** Null: it left no commits. */
  head_sha: string | null;
  bundle_bytes: number;
  has_session: boolean;
}

/** Of all attempts of a task that left something, the newest first. */
export async function keptWork(database: Database, taskId: string): Promise<KeptWork[]> {
  const { rows } = await asking(
    sql<KeptWork>`
      select w.run_id, r.attempt, r.failure_code, w.stored_at, w.branch, w.base_sha, w.head_sha,
        coalesce(octet_length(w.bundle), 0) as bundle_bytes, w.session is not null as has_session
      from runs r join run_work w on w.run_id = r.id
      where r.task_id = ${taskId}
      order by r.attempt desc`.execute(database.db),
  );
  return rows;
}

/** The git bundle that a run left; null where it left none. */
export async function keptBundle(database: Database, runId: string): Promise<Buffer | null> {
  const row = await asking(
    database.db.selectFrom("run_work").select("bundle").where("run_id", "=", runId).executeTakeFirst(),
  );
  return row?.bundle ?? null;
}
