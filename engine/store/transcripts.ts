/**
 * Transcripts: what the agent said and did, kept after its pod is gone. Publish stores the agent's stream; until then,
 * and where it never does, the row holds the log that the engine has kept of the run.
 *
 * A kept log begins with an empty gzip member of the name `myzel-log`: that tells it from a transcript, which it never
 * replaces.
 */
import { gunzipSync } from "node:zlib";
import { sql } from "kysely";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";

/** The header with flag FNAME, the name, an empty block, checksum and length of nothing. */
const KEPT_LOG = Buffer.concat([
  Buffer.from("1f8b08080000000000ff", "hex"),
  Buffer.from("myzel-log\0"),
  Buffer.from("03000000000000000000", "hex"),
]);

const isKeptLog = sql<boolean>`substring(run_transcripts.content for ${sql.lit(KEPT_LOG.length)}) = ${KEPT_LOG}`;

/** Of a query with `run_transcripts`: whether publish stored it. */
export const isOfPublish = sql<boolean>`not (${isKeptLog})`;

export interface LogToKeep {
  runId: string;
  /** gzip of JSON lines, one member after the other. */
  content: Buffer;
  /** Of the JSON lines. */
  rawBytes: number;
  /** Its beginning is missing. */
  truncated: boolean;
}

/**
 * Keeps the logs of live runs, each in place of what was kept of it before, in one transaction. Nobody waits for the
 * disk: a crash of the server costs the last second.
 * Locks: the epoch (shared), the runs (against their end), then their transcripts, as store_transcript does.
 * @returns the runs whose log is kept; the others have ended, or publish has stored their transcript
 * @throws StaleEpochError
 */
export async function keepLogs(database: Database, epoch: number, logs: readonly LogToKeep[]): Promise<Set<string>> {
  const work = database.db.transaction().execute(async (transaction) => {
    await sql`select hold_epoch(${epoch}), set_config('synchronous_commit', 'off', true)`.execute(transaction);
    const runIds = logs.map(({ runId }) => runId);
    const live = await sql<{ id: string }>`
      select id from runs where id = any (${runIds}::uuid[]) and finished_at is null order by id for key share`.execute(
      transaction,
    );
    const isLive = new Set(live.rows.map(({ id }) => id));
    const rows = logs.filter(({ runId }) => isLive.has(runId)).toSorted((a, b) => (a.runId < b.runId ? -1 : 1));
    if (rows.length === 0) return [];
    const stored = await transaction
      .insertInto("run_transcripts")
      .values(
        rows.map(({ runId, content, rawBytes, truncated }) => ({
          run_id: runId,
          content: sql<Buffer>`${KEPT_LOG}::bytea || ${content}::bytea`,
          raw_bytes: rawBytes,
          truncated,
        })),
      )
      .onConflict((conflict) =>
        conflict
          .column("run_id")
          .doUpdateSet((row) => ({
            content: row.ref("excluded.content"),
            raw_bytes: row.ref("excluded.raw_bytes"),
            truncated: row.ref("excluded.truncated"),
            stored_at: row.ref("excluded.stored_at"),
          }))
          .where(isKeptLog),
      )
      .returning("run_id")
      .execute();
    return stored.map(({ run_id }) => run_id);
  });
  return new Set(await asking(work));
}

/** The JSON lines of the logs that are kept of these runs, by run id; runs without one, or with a transcript, are not in it. */
export async function keptLogs(database: Database, runIds: readonly string[]): Promise<Map<string, string[]>> {
  if (runIds.length === 0) return new Map();
  const rows = await asking(
    database.db
      .selectFrom("run_transcripts")
      .select(["run_id", "content"])
      .where("run_id", "in", runIds)
      .where(isKeptLog)
      .execute(),
  );
  return new Map(rows.map((row) => [row.run_id, linesOf(row.content)]));
}

/** The lines of what is stored of a run: publish's transcript, or the kept log; null where there is none (yet, or pruned). */
export async function transcriptLines(
  database: Database,
  runId: string,
  options: { ofPublish?: boolean } = {},
): Promise<string[] | null> {
  let query = database.db.selectFrom("run_transcripts").select("content").where("run_id", "=", runId);
  if (options.ofPublish === true) query = query.where(isOfPublish);
  const row = await asking(query.executeTakeFirst());
  return row === undefined ? null : linesOf(row.content);
}

function linesOf(content: Buffer): string[] {
  return gunzipSync(content)
    .toString("utf8")
    .split("\n")
    .filter((line) => line !== "");
}
