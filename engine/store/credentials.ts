/** Credentials: where secrets lie and whether they can be used; never the secrets. */
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";

export interface CredentialRow {
  name: string;
  env_var: string | null;
  file_path: string | null;
  secret_name: string | null;
  secret_key: string | null;
  problem: string | null;
  blocked_until: Date | null;
  blocked_reason: string | null;
}

/** All credentials, by name. */
export async function credentials(database: Database): Promise<CredentialRow[]> {
  return await asking(database.db.selectFrom("credentials").selectAll().orderBy("name").execute());
}

/** Writes what the launcher says of a credential; nothing is written where nothing changed. */
export async function noteCredentialProblem(database: Database, name: string, problem: string | null): Promise<void> {
  await asking(
    database.db
      .updateTable("credentials")
      .set({ problem })
      .where("name", "=", name)
      .where("problem", "is distinct from", problem)
      .execute(),
  );
}
