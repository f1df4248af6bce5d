/** The database for a command of a person: found through the settings, with the operator's login, closed at the end. */
import type { Command } from "commander";
import { findDatabase } from "../embedded-postgres/find-database.ts";
import { openDatabase } from "../store/connection.ts";
import type { Database } from "../store/connection.ts";
import { DatabaseUnreachableError } from "../store/errors.ts";
import { nameOf } from "./command-name.ts";
import { configOf } from "./settings.ts";

/**
 * Runs `work` with a connection. Its application name is what the audit says of the change.
 * @throws DatabaseError where no database is known, DatabaseUnreachableError where it does not answer
 */
export async function withDatabase<T>(command: Command, work: (database: Database) => Promise<T>): Promise<T> {
  const config = configOf(command);
  const url = await findDatabase(config);
  const database = openDatabase({ url, applicationName: nameOf(command), max: 2 });
  try {
    return await work(database);
  } catch (error) {
    if (!(error instanceof DatabaseUnreachableError) || config.databaseUrl !== undefined) throw error;
    throw new DatabaseUnreachableError(`${error.message}. Is it up? Start it with: myzel up`, { cause: error });
  } finally {
    await database.close();
  }
}
