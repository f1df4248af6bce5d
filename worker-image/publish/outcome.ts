/** Reads what the agent phase says of itself. It may be missing or forged: what does not fit the contract is none. */
import { join } from "node:path";
import { z } from "zod";
import { firstBytes, lastBytes } from "../agent/bounded-text.ts";
import { type FailureCode, type Outcome, WORKSPACE } from "../contract.ts";
import { readSmallFile } from "../hostile-files.ts";

const MAX_FILE_BYTES = 2 ** 20;
const MAX_ERROR_BYTES = 4 * 2 ** 10;
const MAX_SUMMARY_BYTES = 16 * 2 ** 10;
const MAX_LOGS_BYTES = 8 * 2 ** 10;
const MAX_CHECK_BYTES = 16 * 2 ** 10;
const MAX_NAME_BYTES = 200;

/** What an agent phase may say; the others are not its to say. */
const AGENT_CODES = [
  "api_overloaded",
  "usage_limit",
  "agent_error",
  "max_turns",
  "cost_limit",
  "deadline_exceeded",
  "oom_killed",
  "hung",
  "auth_failed",
  "cost_guard",
  "checks_failed",
  "stopped",
] as const satisfies readonly FailureCode[];

const text = (maxBytes: number, cut: typeof firstBytes) =>
  z
    .string()
    .nullable()
    .transform((value) => (value === null ? null : cut(value, maxBytes)));
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

const schema = z.object({
  success: z.boolean(),
  code: z.enum(AGENT_CODES).nullable(),
  error: text(MAX_ERROR_BYTES, firstBytes),
  summary: text(MAX_SUMMARY_BYTES, firstBytes),
  logs: text(MAX_LOGS_BYTES, lastBytes),
  cost_usd: z.number().min(0).max(1e6),
  turns: count,
  input_tokens: count,
  output_tokens: count,
  cache_read_tokens: count,
  cache_creation_tokens: count,
  session_id: text(MAX_NAME_BYTES, firstBytes),
  model: text(MAX_NAME_BYTES, firstBytes),
  resets_at: z.number().min(0).max(1e11).nullable(),
  warned_until: z.number().min(0).max(1e11).nullable().default(null),
  paid_usage: z.boolean().default(false),
  checks: z
    .object({
      passed: z.boolean(),
      tries: count,
      output: z.string().transform((value) => lastBytes(value, MAX_CHECK_BYTES)),
    })
    .nullable(),
});

/** The outcome; null where there is none that can be believed to be one. */
export async function readOutcome(workspace: string): Promise<Outcome | null> {
  const content = await readSmallFile(join(workspace, WORKSPACE.outcome), MAX_FILE_BYTES);
  if (content === null) return null;
  try {
    return consistent(schema.parse(JSON.parse(content.toString("utf8"))));
  } catch {
    return null;
  }
}

/** A success has no code, a failure has one and says why. */
function consistent(outcome: Outcome): Outcome {
  if (outcome.success) return { ...outcome, code: null, error: null };
  return {
    ...outcome,
    code: outcome.code ?? "agent_error",
    error: outcome.error ?? "The agent failed and did not say why.",
  };
}
