/** Profiles, as far as they decide what the pods of their runs look like. */
import type { ProfileSecrets } from "../domain/job.ts";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";

export interface ProfileRow {
  name: string;
  image: string | null;
  cpu: string | null;
  memory: string | null;
  credential: string;
  /** As it is stored; null: none. */
  pod_template: unknown;
  /** Where what its agents are given lies, by the agent's variable. */
  secrets: ProfileSecrets;
}

/** All profiles, by name. */
export async function profiles(database: Database): Promise<ProfileRow[]> {
  const rows = await asking(
    database.db
      .selectFrom("profiles")
      .select(["name", "image", "cpu", "memory", "credential", "pod_template", "secrets"])
      .orderBy("name")
      .execute(),
  );
  // guard_profiles() has looked at them.
  return rows.map((row) => ({ ...row, secrets: row.secrets as unknown as ProfileSecrets }));
}
