/**
 * What checkout and publish share as programs: their variables, their end and the word they leave.
 *
 * A phase is a function from its environment to its end; only `runPhaseProgram` knows of the process.
 */
import { appendFileSync, writeFileSync } from "node:fs";
import { firstBytes } from "./agent/bounded-text.ts";
import { EXIT } from "./contract.ts";
import { leave } from "./leave.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** How a phase ended: its exit code, and why in one sentence where it is not 0. Masked by the phase. */
export interface PhaseResult {
  exitCode: number;
  message: string | null;
}

export type PhaseFunction = (environment: Environment, options: { signal: AbortSignal }) => Promise<PhaseResult>;

/** As a shell says that SIGTERM ended a program. */
export const EXIT_TERMINATED = 143;

const MAX_MESSAGE_BYTES = 4096;

/** A variable of the contract is missing or makes no sense. */
class UsageError extends Error {
  override readonly name = "UsageError";
}

/**
 * The variables of these names.
 * @throws UsageError that names all that are missing
 */
export function requireVariables<Name extends string>(
  environment: Environment,
  names: readonly Name[],
): Record<Name, string> {
  const missing = names.filter((name) => !environment[name]);
  if (missing.length > 0) throw new UsageError(`These variables are missing: ${missing.join(", ")}.`);
  return Object.fromEntries(names.map((name) => [name, environment[name]])) as Record<Name, string>;
}

/** Runs a phase as this process: SIGTERM and SIGINT abort it; its sentence goes to stderr and the termination log. */
export async function runPhaseProgram(phase: PhaseFunction): Promise<never> {
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop.abort());
  const result = await phase(process.env, { signal: stop.signal }).catch((error: unknown) =>
    resultOfError(error, stop),
  );
  if (result.message !== null) leaveMessage(firstBytes(result.message, MAX_MESSAGE_BYTES));
  return leave(result.exitCode);
}

function resultOfError(error: unknown, stop: AbortController): PhaseResult {
  if (error instanceof UsageError) return { exitCode: EXIT.usage, message: error.message };
  if (stop.signal.aborted) return { exitCode: EXIT_TERMINATED, message: "The phase was told to end." };
  // Its text may hold anything, a secret included: only what kind of error it was is said.
  const { name, code } = error as { name?: string; code?: string };
  return { exitCode: 1, message: `The phase failed unexpectedly (${[name, code].filter(Boolean).join(" ")}).` };
}

function leaveMessage(message: string): void {
  process.stderr.write(`${message}\n`);
  const file = process.env["MYZEL_TERMINATION_LOG"];
  if (!file) return;
  try {
    writeFileSync(file, message);
  } catch {
    appendFileSync(process.stderr.fd, "The termination log cannot be written.\n");
  }
}
