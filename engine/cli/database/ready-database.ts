/** Waits for a database that does not answer yet, and says what its schema is like. */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { asking, openSession } from "../../store/connection.ts";
import { DatabaseUnreachableError } from "../../store/errors.ts";
import { checkSchema } from "../../store/schema-state.ts";
import type { SchemaState } from "../../store/schema-state.ts";

const RETRY_MS = 2_000;

/**
 * The state of the schema, once the server answers; said once that it does not. Null where `signal` came first.
 * @throws SchemaError where the server can never do; errors of a refused login as they are
 */
export async function awaitSchema(options: {
  url: string;
  rolePrefix: string;
  log: Logger;
  signal: AbortSignal;
}): Promise<SchemaState | null> {
  const { url, rolePrefix, log, signal } = options;
  let waiting = false;
  while (!signal.aborted) {
    try {
      const state = await schemaState(url, rolePrefix);
      if (waiting) log.info("database reached");
      return state;
    } catch (error) {
      if (!(error instanceof DatabaseUnreachableError)) throw error;
      if (!waiting) log.error({ reason: error.message }, "database cannot be reached; waiting for it");
      waiting = true;
    }
    await delay(RETRY_MS, undefined, { signal }).catch(() => undefined);
  }
  return null;
}

async function schemaState(url: string, rolePrefix: string): Promise<SchemaState> {
  const session = await openSession({ url, applicationName: "myzel check", max: 1 });
  try {
    return await asking(checkSchema(session, { rolePrefix }));
  } finally {
    await session.end().catch(() => undefined);
  }
}
