/** Checks of the database: found, reached, its version and schema, and the engine that leads there. */
import { ok, problem, warning } from "../../check.ts";
import type { Check } from "../../check.ts";
import type { Config } from "../../config.ts";
import { DatabaseError } from "../../embedded-postgres/database-error.ts";
import { findDatabase } from "../../embedded-postgres/find-database.ts";
import { openDatabase } from "../../store/connection.ts";
import type { Database } from "../../store/connection.ts";
import { asking } from "../../store/connection.ts";
import { credentials } from "../../store/credentials.ts";
import type { CredentialRow } from "../../store/credentials.ts";
import { engineState, serverVersion } from "../../store/engine-state.ts";
import type { EngineState } from "../../store/engine-state.ts";
import { profiles, type ProfileRow } from "../../store/profiles.ts";
import { SchemaError } from "../../store/schema-error.ts";
import { checkSchema } from "../../store/schema-state.ts";

/** What other checks take from the database. */
export interface Stored {
  rows: CredentialRow[];
  profiles: ProfileRow[];
  engineIsLive: boolean;
}

export interface DatabaseFindings {
  checks: Check[];
  /** Null where the database cannot be asked. */
  stored: Stored | null;
}

export async function checkDatabase(config: Config): Promise<DatabaseFindings> {
  let url: string;
  try {
    url = await findDatabase(config);
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    return { checks: [warning("database", error.message, null)], stored: null };
  }
  const database = openDatabase({ url, applicationName: "myzel doctor", max: 1, connectTimeoutMs: 5_000 });
  try {
    return await ask(config, database);
  } finally {
    await database.close();
  }
}

async function ask(config: Config, database: Database): Promise<DatabaseFindings> {
  const how = config.databaseUrl === undefined ? `found in ${config.dataDir}` : "from DATABASE_URL";
  let version: string;
  try {
    version = await serverVersion(database);
  } catch (error) {
    const isOwn = config.databaseUrl !== undefined;
    const mend = isOwn ? "start the server, or correct DATABASE_URL" : "myzel up";
    const reason = (error as Error).message;
    return { checks: [(isOwn ? problem : warning)("database", `${how}, but: ${reason}`, mend)], stored: null };
  }
  const checks = [ok("database", `Postgres ${version}, ${how}`)];
  const schema = await checkItsSchema(config, database);
  checks.push(schema);
  if (schema.status !== "ok") return { checks, stored: null };
  const state = await engineState(database);
  checks.push(checkEngine(state));
  const stored = {
    rows: await credentials(database),
    profiles: await profiles(database),
    engineIsLive: state.is_live,
  };
  return { checks, stored };
}

async function checkItsSchema(config: Config, database: Database): Promise<Check> {
  try {
    const { sentence } = await asking(checkSchema(database.pool, { rolePrefix: config.rolePrefix }));
    return sentence === null ? ok("schema", "current") : problem("schema", sentence, null);
  } catch (error) {
    if (error instanceof SchemaError) return problem("schema", error.message, null);
    throw error;
  }
}

function checkEngine(state: EngineState): Check {
  if (state.is_live) {
    const where = `leads on ${state.host}, version ${state.version}, launcher ${state.launcher}, epoch ${state.epoch}, last beat ${state.beat_age_seconds} s ago`;
    return state.paused ? warning("engine", `${where}, paused`, "myzel resume") : ok("engine", where);
  }
  const last =
    state.beat_age_seconds === null
      ? ""
      : ` (the last one, on ${state.host}, was seen ${state.beat_age_seconds} s ago)`;
  return warning("engine", `none is running${last}`, "myzel up, or myzel engine");
}
