/** What a change would make, judged by the database and rolled back. */
import type { Transaction } from "kysely";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";
import type { DB } from "./database.ts";

/** What `work` returns; nothing of it is stored. @throws what `work` throws */
export async function rehearse<T>(database: Database, work: (transaction: Transaction<DB>) => Promise<T>): Promise<T> {
  const made: T[] = [];
  const rollback = new Error("rehearsal");
  await asking(
    database.db.transaction().execute(async (transaction) => {
      made.push(await work(transaction));
      throw rollback;
    }),
  ).catch((error: unknown) => {
    if (error !== rollback) throw error;
  });
  return made[0] as T;
}
