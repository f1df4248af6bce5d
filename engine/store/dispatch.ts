/** Claiming: calls of sql/functions/claim_runs.sql and lanes.sql. */
import { sql } from "kysely";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";
import type { UnlaunchedRun } from "./runs.ts";

export interface Claim {
  epoch: number;
  launcher: string;
  /** Null where the launcher does not bind to hosts. */
  host: string | null;
  /** Ids for the runs to make, with the hashes of their tokens: as many runs at most. */
  tickets: readonly { runId: string; tokenHash: Buffer }[];
}

export interface Claimed {
  /** The runs it made. */
  to_launch: UnlaunchedRun[];
  /** Changes of lanes that were worked off or made; more may be left. */
  drained: number;
  /** Milliseconds until a gate opens by the clock alone; null if none will. */
  next_look_ms: number | null;
}

/** Claims up to `tickets.length` tasks. @throws StaleEpochError */
export async function claimRuns(database: Database, claim: Claim): Promise<Claimed> {
  const result = await asking(
    sql<Claimed>`
      select to_launch, drained, next_look_ms from claim_runs(
        ${claim.epoch}, ${claim.launcher}, ${claim.host}, ${claim.tickets.length},
        ${claim.tickets.map((ticket) => ticket.runId)}::uuid[],
        ${claim.tickets.map((ticket) => ticket.tokenHash)}::bytea[])`.execute(database.db),
  );
  return result.rows[0] ?? { to_launch: [], drained: 0, next_look_ms: null };
}

/** Logs every addressee for another look; dispatch works it off. Heals lanes that missed a change. */
export async function sweepLanes(database: Database): Promise<number> {
  const result = await asking(sql<{ logged: number }>`select sweep_lanes() as logged`.execute(database.db));
  return result.rows[0]?.logged ?? 0;
}
