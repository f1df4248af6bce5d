/**
 * What one invocation of the CLI has said so far, reduced line by line to the facts that decide.
 *
 * Pure: each line makes new facts from the old ones. Lines are chosen by type, never by position, and
 * nothing in them is trusted to have the expected shape (observed with Claude Code 2.1.329).
 */

/** The CLI's final message, as far as it matters. */
export interface FinalMessage {
  subtype: string;
  isError: boolean;
  /** The final text, or the text of the error. */
  text: string | null;
  terminalReason: string | null;
  apiErrorStatus: number | null;
  apiError: string | null;
}

/** What was used, cumulative over the CLI's session (observed: `--resume` counts on). */
export interface Usage {
  cost_usd: number;
  input_tokens: number;
  output_tokens: number;
  cache_read_tokens: number;
  cache_creation_tokens: number;
}

export interface StreamFacts {
  sessionId: string | null;
  model: string | null;
  /** `init.apiKeySource`; anything but `none` bills the API. */
  apiKeySource: string | null;
  /** A `modelUsage` provider other than `firstParty`. */
  foreignProvider: string | null;
  /** Paid extra usage beyond the subscription's limit. */
  usingOverage: boolean;
  /** The latest reset (epoch seconds) of a limit that the service has warned of; null: of none. */
  warnedUntil: number | null;
  /** Status and reset (epoch seconds) of the last rate limit event. */
  limit: { status: string | null; resetsAt: number | null } | null;
  /** The last result line; there may be several, the last counts. */
  final: FinalMessage | null;
  /** Whether the conversation went on after the last result line. */
  wentOn: boolean;
  usage: Usage;
  /** Turns of this invocation (observed: `--resume` begins at 0 again). */
  turns: number;
  /** As `usage`, counted from the messages, without cost: for an invocation that had no result line. */
  usageHeard: Usage;
  turnsHeard: number;
  /** The message counted last: each of its blocks is a line of its own. */
  messageId: string | null;
}

type Json = Record<string, unknown>;

const NO_USAGE: Usage = Object.freeze({
  cost_usd: 0,
  input_tokens: 0,
  output_tokens: 0,
  cache_read_tokens: 0,
  cache_creation_tokens: 0,
});

/** Facts before the first line. */
export const NO_FACTS: StreamFacts = Object.freeze({
  sessionId: null,
  model: null,
  apiKeySource: null,
  foreignProvider: null,
  usingOverage: false,
  warnedUntil: null,
  limit: null,
  final: null,
  wentOn: false,
  usage: NO_USAGE,
  turns: 0,
  usageHeard: NO_USAGE,
  turnsHeard: 0,
  messageId: null,
});

/** The facts after one more line; `line` is the parsed JSON, of whatever shape. */
export function reduceFacts(facts: StreamFacts, line: unknown): StreamFacts {
  if (!isObject(line)) return facts;
  if (line["type"] === "system" && line["subtype"] === "init") return afterInit(facts, line);
  if (line["type"] === "rate_limit_event") return afterRateLimit(facts, line);
  if (line["type"] === "result") return afterResult(facts, line);
  const goesOn = line["type"] === "assistant" || line["type"] === "user";
  if (!goesOn) return facts;
  const counted = line["type"] === "assistant" ? afterMessage(facts, line) : facts;
  return facts.final === null ? counted : { ...counted, wentOn: true };
}

function afterInit(facts: StreamFacts, line: Json): StreamFacts {
  return {
    ...facts,
    sessionId: text(line["session_id"]) ?? facts.sessionId,
    model: text(line["model"]) ?? facts.model,
    apiKeySource: text(line["apiKeySource"]) ?? facts.apiKeySource,
    wentOn: facts.final !== null,
  };
}

function afterMessage(facts: StreamFacts, line: Json): StreamFacts {
  const message = isObject(line["message"]) ? line["message"] : {};
  const messageId = text(message["id"]);
  if (messageId === null || messageId === facts.messageId) return facts;
  const usage = isObject(message["usage"]) ? message["usage"] : {};
  const plus = (before: number, key: string) => before + (number(usage[key]) ?? 0);
  return {
    ...facts,
    messageId,
    turnsHeard: facts.turnsHeard + (line["parent_tool_use_id"] ? 0 : 1),
    usageHeard: {
      cost_usd: 0,
      input_tokens: plus(facts.usageHeard.input_tokens, "input_tokens"),
      output_tokens: plus(facts.usageHeard.output_tokens, "output_tokens"),
      cache_read_tokens: plus(facts.usageHeard.cache_read_tokens, "cache_read_input_tokens"),
      cache_creation_tokens: plus(facts.usageHeard.cache_creation_tokens, "cache_creation_input_tokens"),
    },
  };
}

function afterRateLimit(facts: StreamFacts, line: Json): StreamFacts {
  const info = line["rate_limit_info"];
  if (!isObject(info)) return facts;
  const limit = { status: text(info["status"]), resetsAt: number(info["resetsAt"]) };
  const warned = limit.status === "allowed_warning" && limit.resetsAt !== null ? limit.resetsAt : 0;
  return {
    ...facts,
    limit,
    warnedUntil: warned > (facts.warnedUntil ?? 0) ? warned : facts.warnedUntil,
    usingOverage: facts.usingOverage || info["isUsingOverage"] === true,
  };
}

function afterResult(facts: StreamFacts, line: Json): StreamFacts {
  const errors = Array.isArray(line["errors"]) ? line["errors"].filter((error) => typeof error === "string") : [];
  const models = isObject(line["modelUsage"]) ? Object.values(line["modelUsage"]).filter(isObject) : [];
  const sum = (key: string) => models.reduce((total, model) => total + (number(model[key]) ?? 0), 0);
  const providers = models.map((model) => text(model["provider"])).filter((provider) => provider !== null);
  return {
    ...facts,
    sessionId: text(line["session_id"]) ?? facts.sessionId,
    foreignProvider: providers.find((provider) => provider !== "firstParty") ?? facts.foreignProvider,
    final: {
      subtype: text(line["subtype"]) ?? "",
      isError: line["is_error"] !== false,
      text: text(line["result"]) ?? (errors.length > 0 ? errors.join("; ") : null),
      terminalReason: text(line["terminal_reason"]),
      apiErrorStatus: number(line["api_error_status"]),
      apiError: text(line["api_error"]),
    },
    wentOn: false,
    usage: {
      cost_usd: number(line["total_cost_usd"]) ?? sum("costUSD"),
      input_tokens: sum("inputTokens"),
      output_tokens: sum("outputTokens"),
      cache_read_tokens: sum("cacheReadInputTokens"),
      cache_creation_tokens: sum("cacheCreationInputTokens"),
    },
    turns: number(line["num_turns"]) ?? facts.turns,
  };
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function number(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}
