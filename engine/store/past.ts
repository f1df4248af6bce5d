/** What went before runs whose outcome depends on it. */
import { sql } from "kysely";
import type { Past } from "../domain/outcome.ts";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";

/** By run id; `runs` are those that ended with a code after which a task waits. */
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
