/** Transcripts: what the agent said and did, kept after its pod is gone. */
import { gunzipSync, gzipSync } from "node:zlib";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";

/** Stores the job's log, unless publish stored a transcript. The lines become JSON lines of type `log`. */
export async function keepLog(database: Database, runId: string, log: string): Promise<void> {
  const lines = log
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.stringify({ type: "log", text: line }));
  if (lines.length === 0) return;
  const text = lines.join("\n") + "\n";
  await asking(
    database.db
      .insertInto("run_transcripts")
      .values({ run_id: runId, content: gzipSync(text), raw_bytes: Buffer.byteLength(text), truncated: false })
      .onConflict((conflict) => conflict.column("run_id").doNothing())
      .execute(),
  );
}

/** The lines of a run's transcript; null where there is none (yet, or pruned). */
export async function transcriptLines(database: Database, runId: string): Promise<string[] | null> {
  const row = await asking(
    database.db.selectFrom("run_transcripts").select("content").where("run_id", "=", runId).executeTakeFirst(),
  );
  if (row === undefined) return null;
  return gunzipSync(row.content)
    .toString("utf8")
    .split("\n")
    .filter((line) => line !== "");
}
