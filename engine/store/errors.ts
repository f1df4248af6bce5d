/**
 * What the database may answer, by name. The schema raises SQLSTATEs of class MZ; this is the one place
 * that turns them, and lost connections, into typed errors.
 */

/** A leader found out that it is not the leader any more. It stops; nothing was written. */
export class StaleEpochError extends Error {
  override name = "StaleEpochError";
}

/** The database refused the change with a sentence for people. Not retryable as it stands. */
export class RefusedError extends Error {
  override name = "RefusedError";
}

/** Somebody else is just changing what this needs; nothing was written. The message is a sentence. Retryable. */
export class BusyError extends Error {
  override name = "BusyError";
}

/** There is no such row. */
export class NotFoundError extends Error {
  override name = "NotFoundError";
}

/** The database cannot be reached, or went away in the middle. Retryable. */
export class DatabaseUnreachableError extends Error {
  override name = "DatabaseUnreachableError";
}

interface PostgresError extends Error {
  code?: string;
  syscall?: string;
}

/** Codes of Node's sockets that mean that the server could not be reached. */
const SOCKET_CODES = /^(ECONN|EPIPE|ENOTFOUND|EAI_|ETIMEDOUT|EHOST|ENET)/;
/** SQLSTATEs: connection exceptions, the server is starting up or shutting down, no answer in time, too many connections. */
const UNREACHABLE_STATES = /^(08...|57P0[1-5]|57014|53300)$/;
/** What pg says without a code when a connection ends under a query or cannot be had in time. */
const PG_CONNECTION_MESSAGES =
  /connection terminated|connection error|timeout exceeded|query read timeout|client has encountered/i;

/** Checks and foreign keys that guard bad input: the server's message is a sentence already. */
const INPUT_STATES = /^(23...|22...)$/;

/** The same error as one of the classes above where it is one, else as it was. */
export function typedError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code, message } = error as PostgresError;
  const cause = { cause: error };
  if (code === "MZ001") return new StaleEpochError(message, cause);
  if (code === "MZ002" || code === "MZ004") return new RefusedError(message, cause);
  if (code === "MZ005") return new NotFoundError(message, cause);
  if (code === "MZ006") return new BusyError(message, cause);
  if (code !== undefined && INPUT_STATES.test(code))
    return new RefusedError(`The database refused it: ${message}.`, cause);
  if (code === "42501") return new RefusedError(`This login may not do that: ${message}.`, cause);
  if (
    code === undefined ? PG_CONNECTION_MESSAGES.test(message) : SOCKET_CODES.test(code) || UNREACHABLE_STATES.test(code)
  ) {
    return new DatabaseUnreachableError(`The database cannot be reached: ${reasonOf(error)}`, cause);
  }
  return error;
}

/** AggregateError of a host with several addresses has an empty message. */
function reasonOf(error: Error): string {
  return error instanceof AggregateError && error.errors[0] instanceof Error ? error.errors[0].message : error.message;
}
