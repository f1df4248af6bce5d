/** What the engine does for epics from time to time: see sql/functions/epics.sql and wake_ups.sql. */
import { sql } from "kysely";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";

/** Ends the epics whose wall time is over; returns how many. @throws StaleEpochError */
export async function endOverdueEpics(database: Database, epoch: number): Promise<number> {
  const result = await asking(sql<{ ended: number }>`select end_overdue_epics(${epoch}) as ended`.execute(database.db));
  return result.rows[0]?.ended ?? 0;
}

/** Wakes the Greens of active epics of which nothing is left to run, should they have been forgotten. @throws StaleEpochError */
export async function wakeIdleEpics(database: Database, epoch: number): Promise<void> {
  await asking(sql`select wake_idle_epics(${epoch})`.execute(database.db));
}
