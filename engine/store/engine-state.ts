/** The leading engine and the server, as `doctor` shows them. */
import { sql } from "kysely";
import { asking } from "./connection.ts";
import type { Database } from "./connection.ts";

export interface EngineState {
  /** It has beaten within the last 15 seconds. */
  is_live: boolean;
  epoch: number;
  host: string | null;
  version: string | null;
  launcher: string | null;
  paused: boolean;
  /** Null where none ever led, or the last one stopped in good order. */
  beat_age_seconds: number | null;
}

/** What the database knows of the engine. */
export async function engineState(database: Database): Promise<EngineState> {
  const result = await asking(
    sql<EngineState>`
      select engine_is_live() as is_live, epoch, host, version, launcher, paused,
        round(extract(epoch from myzel_now() - beat_at))::integer as beat_age_seconds
      from engine_state cross join engine_beat`.execute(database.db),
  );
  const [state] = result.rows;
  if (state === undefined) throw new Error("engine_state has lost its row");
  return state;
}

/** Version of the server, such as `18.4`. */
export async function serverVersion(database: Database): Promise<string> {
  const result = await asking(
    sql<{ version: string }>`select current_setting('server_version') as version`.execute(database.db),
  );
  return result.rows[0]?.version ?? "unknown";
}
