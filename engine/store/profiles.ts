/** Profiles, as far as they decide what the pods of their runs look like. */
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
}

/** All profiles, by name. */
export async function profiles(database: Database): Promise<ProfileRow[]> {
  return await asking(
    database.db
      .selectFrom("profiles")
      .select(["name", "image", "cpu", "memory", "credential", "pod_template"])
      .orderBy("name")
      .execute(),
  );
}
