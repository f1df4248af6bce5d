/**
 * What went wrong, as one sentence on stderr and an exit code. A stack appears only for bugs and with
 * MYZEL_LOG_LEVEL=debug. Never prints a secret.
 */
import { scrubbed } from "../scrubbing.ts";
import { plain } from "./terminal/terminal-text.ts";

/** Exit codes of every command. */
export const EXIT = { done: 0, failed: 1, usage: 2, unreachable: 3, interrupted: 130 } as const;

/** Wrong arguments or a setting that does not fit: the message is a sentence that says what to do. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** The work failed, and the message says how. */
export class FailedError extends Error {
  override name = "FailedError";
}

interface Failure {
  exitCode: number;
  sentence: string;
  /** Nobody foresaw it. */
  bug: boolean;
}

/** Prints it and returns the exit code. */
export async function reportFailure(error: unknown): Promise<number> {
  const failure = await judge(error);
  const debug = ["debug", "trace"].includes(process.env["MYZEL_LOG_LEVEL"] ?? "");
  const stack = (failure.bug || debug) && error instanceof Error ? `\n${error.stack ?? ""}` : "";
  process.stderr.write(`myzel: ${plain(scrubbed(failure.sentence + stack))}\n`);
  return failure.exitCode;
}

/** The classes are loaded here, where something has failed, not at every start. */
async function judge(given: unknown): Promise<Failure> {
  const store = await import("../store/errors.ts");
  const { SchemaError } = await import("../store/schema-error.ts");
  const { DatabaseError } = await import("../embedded-postgres/database-error.ts");
  const { ConfigError } = await import("../config.ts");
  const { UnusableDataDirectoryError } = await import("../data-directory.ts");
  if (isFileError(given)) return usage(given.message);
  const error = store.typedError(given);
  if (!(error instanceof Error)) return { exitCode: EXIT.failed, sentence: String(error), bug: true };
  const { message } = error;
  const code = (error as { code?: string }).code ?? "";

  if (error instanceof FailedError || error instanceof store.BusyError)
    return { exitCode: EXIT.failed, sentence: message, bug: false };
  if (error instanceof ConfigError) return usage(configSentence(error.problems));
  const wrongUsage = [UsageError, store.RefusedError, store.NotFoundError, SchemaError, UnusableDataDirectoryError];
  if (wrongUsage.some((type) => error instanceof type)) return usage(message);
  if (code === "ERR_INVALID_URL" || error instanceof URIError) {
    return usage(
      "DATABASE_URL is no valid URL: write it like postgresql://user:password@host:5432/myzel, with special characters of the password percent-encoded.",
    );
  }
  // Undefined table, column or function.
  if (["42P01", "42703", "42883"].includes(code)) {
    return usage(`The database has not the schema of this program (${message}): run myzel migrate.`);
  }
  if (error instanceof store.DatabaseUnreachableError || error instanceof DatabaseError) return unreachable(message);
  // Login refused; no such database.
  if (code.startsWith("28") || code === "3D000")
    return unreachable(`The database server refuses the connection: ${message}.`);
  return { exitCode: EXIT.failed, sentence: `unexpected error: ${message}`, bug: true };
}

/** Of the file system: Node's message names what was tried and the path. Errors of connections have other calls. */
function isFileError(error: unknown): error is NodeJS.ErrnoException {
  if (!(error instanceof Error)) return false;
  const { syscall, path } = error as NodeJS.ErrnoException;
  return (
    path !== undefined &&
    ["open", "mkdir", "rename", "unlink", "write", "read", "chmod", "scandir"].includes(syscall ?? "")
  );
}

function usage(sentence: string): Failure {
  return { exitCode: EXIT.usage, sentence, bug: false };
}

function unreachable(sentence: string): Failure {
  return { exitCode: EXIT.unreachable, sentence, bug: false };
}

function configSentence(problems: readonly string[]): string {
  if (problems.length === 1) return `a setting is wrong: ${problems[0]}`;
  return `${problems.length} settings are wrong:\n${problems.map((problem) => `  ${problem}`).join("\n")}`;
}
