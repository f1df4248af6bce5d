/**
 * A model on loopback that answers by a script: the Messages API as far as Claude Code uses it.
 *
 * The answer is chosen by the conversation, never by counting requests: a step is the number of
 * assistant messages so far, so a retried request gets the same step again. Serves the tests and
 * `npm run demo`; it thinks of nothing by itself.
 *
 *     const model = await startScriptedModel([toolUse("Bash", { command: "date" }), text("Done.")]);
 *     // ... MYZEL_MODEL_BASE_URL=model.url, CLAUDE_CODE_OAUTH_TOKEN=anything
 *     await model.close();
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What the CLI sends, as far as a script may want to look at it. */
export interface ModelRequest {
  method: string;
  path: string;
  headers: Record<string, string | string[] | undefined>;
  body: {
    model?: string;
    system?: unknown;
    messages?: { role: string; content: unknown }[];
    tools?: { name: string; description?: string; input_schema?: unknown }[];
    stream?: boolean;
    [key: string]: unknown;
  };
  /** Assistant messages so far. */
  step: number;
  /** How often this step of this conversation was asked for before: 0 for the first try. */
  attempt: number;
}

type Block = { type: "text"; text: string } | { type: "tool_use"; name: string; input: unknown };

/** One answer of the model. Made by the helpers below. */
export type Answer =
  | { kind: "message"; blocks: Block[]; usage?: Partial<Usage> }
  | { kind: "error"; status: number; type: string; message: string; headers: Record<string, string> }
  /** Accepts the request and never answers. */
  | { kind: "hang" }
  /** Begins a streamed answer, then falls silent with the connection open. */
  | { kind: "stall" }
  /** Cuts the connection. */
  | { kind: "reset" };

interface Usage {
  input_tokens: number;
  output_tokens: number;
  cache_read_input_tokens: number;
  cache_creation_input_tokens: number;
}

/** A step: one answer for every try, a list with one for each try (the last repeats), or a choice by the request. */
export type Step = Answer | Answer[] | ((request: ModelRequest) => Answer | Promise<Answer>);

/** Steps by number (the last one repeats), or one function that chooses for all. */
export type Script = Step[] | ((request: ModelRequest) => Answer | Promise<Answer>);

export interface ScriptedModel {
  /** For `MYZEL_MODEL_BASE_URL`. */
  url: string;
  /** Every request for a message, in order of arrival. */
  requests: ModelRequest[];
  close(): Promise<void>;
}

/** Starts the model on a free port of loopback (or `port`). */
export async function startScriptedModel(script: Script, options: { port?: number } = {}): Promise<ScriptedModel> {
  const requests: ModelRequest[] = [];
  const tries = new Map<string, number>();
  const server = createServer((incoming, response) => {
    respond(incoming, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500);
      response.end(String(error));
    });
  });
  async function respond(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const text = await readBody(incoming);
    const path = incoming.url ?? "/";
    if (incoming.method !== "POST" || !path.startsWith("/v1/messages")) return void response.end("{}");
    const body = JSON.parse(text) as ModelRequest["body"];
    const step = (body.messages ?? []).filter((message) => message.role === "assistant").length;
    const conversation = JSON.stringify(body.messages);
    const attempt = tries.get(conversation) ?? 0;
    tries.set(conversation, attempt + 1);
    const request = { method: "POST", path, headers: incoming.headers, body, step, attempt };
    requests.push(request);
    await send(await chooseAnswer(script, request), request, response);
  }
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A message of text; without a tool call it ends the turn. */
export function text(text: string): Answer {
  return { kind: "message", blocks: [{ type: "text", text }] };
}

/** A call of one tool, with an optional text before it. */
export function toolUse(name: string, input: unknown, before?: string): Answer {
  const said: Block[] = before === undefined ? [] : [{ type: "text", text: before }];
  return { kind: "message", blocks: [...said, { type: "tool_use", name, input }] };
}

/** The same answer with a usage of one's own, from which the CLI computes tokens and cost. */
export function withUsage(answer: Answer, usage: Partial<Usage>): Answer {
  return answer.kind === "message" ? { ...answer, usage } : answer;
}

const ERROR_TYPES: Record<number, [type: string, message: string]> = {
  400: ["invalid_request_error", "Bad request"],
  401: ["authentication_error", "OAuth token has expired"],
  403: ["permission_error", "Forbidden"],
  404: ["not_found_error", "model not found"],
  429: ["rate_limit_error", "Too many requests"],
  500: ["api_error", "Internal server error"],
  503: ["api_error", "Service unavailable"],
  529: ["overloaded_error", "Overloaded"],
};

/** An error of the API, such as 401, 429 or 529. */
export function apiError(status: number, message?: string, headers: Record<string, string> = {}): Answer {
  const [type, usual] = ERROR_TYPES[status] ?? ["api_error", "Error"];
  return { kind: "error", status, type, message: message ?? usual, headers };
}

/** The subscription's limit is reached until then (epoch seconds). Claude says so in headers, not in the body. */
export function usageLimit(resetsAt: number, claim: "five_hour" | "seven_day" = "five_hour"): Answer {
  return apiError(429, "This request would exceed your account's rate limit.", {
    "anthropic-ratelimit-unified-status": "rejected",
    "anthropic-ratelimit-unified-reset": String(resetsAt),
    "anthropic-ratelimit-unified-representative-claim": claim,
    "anthropic-ratelimit-unified-overage-status": "rejected",
    "anthropic-ratelimit-unified-overage-disabled-reason": "org_level_disabled",
  });
}

export const hang: Answer = { kind: "hang" };
export const silenceInMidStream: Answer = { kind: "stall" };
export const connectionReset: Answer = { kind: "reset" };

/** The text of the conversation's messages by one role, as the model sees it; for asserting on prompts and tool results. */
export function textsOf(request: ModelRequest | undefined, role: "user" | "assistant" | "system"): string {
  const messages = (request?.body.messages ?? []).filter((message) => message.role === role);
  return messages.map((message) => flatten(message.content)).join("\n");
}

/** The text of the system prompt. */
export function systemPromptOf(request: ModelRequest | undefined): string {
  return flatten(request?.body.system);
}

function flatten(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((block: { text?: string; content?: unknown }) => block.text ?? flatten(block.content)).join("\n");
}

async function chooseAnswer(script: Script, request: ModelRequest): Promise<Answer> {
  const step = typeof script === "function" ? script : (script[request.step] ?? script.at(-1));
  if (step === undefined) return text("The script is empty.");
  if (typeof step === "function") return step(request);
  if (!Array.isArray(step)) return step;
  return step[request.attempt] ?? step.at(-1) ?? text("The step is empty.");
}

async function readBody(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

let made = 0;

async function send(answer: Answer, request: ModelRequest, response: ServerResponse): Promise<void> {
  if (answer.kind === "hang") return;
  if (answer.kind === "reset") return void response.destroy();
  if (answer.kind === "error") return sendError(answer, response);
  const message = asMessage(answer, request);
  const limits = { "anthropic-ratelimit-unified-status": "allowed" };
  if (request.body.stream !== true && answer.kind === "message") {
    response.writeHead(200, { "content-type": "application/json", ...limits });
    return void response.end(JSON.stringify(message));
  }
  response.writeHead(200, { "content-type": "text/event-stream", ...limits });
  for (const event of eventsOf(message)) {
    response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
    if (answer.kind === "stall") return;
  }
  response.end();
}

function sendError(answer: Extract<Answer, { kind: "error" }>, response: ServerResponse): void {
  response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers });
  response.end(JSON.stringify({ type: "error", error: { type: answer.type, message: answer.message } }));
}

function asMessage(answer: Answer, request: ModelRequest) {
  const said = answer.kind === "message" ? answer.blocks : [];
  const usage = answer.kind === "message" ? answer.usage : undefined;
  const content = said.map((block) =>
    block.type === "tool_use" ? { ...block, id: `toolu_${String(++made).padStart(20, "0")}` } : block,
  );
  return {
    id: `msg_${String(++made).padStart(20, "0")}`,
    type: "message" as const,
    role: "assistant" as const,
    model: request.body.model ?? "scripted",
    content,
    stop_reason: said.some((block) => block.type === "tool_use") ? "tool_use" : "end_turn",
    stop_sequence: null,
    usage: {
      input_tokens: 100,
      output_tokens: 20,
      cache_read_input_tokens: 0,
      cache_creation_input_tokens: 0,
      ...usage,
    },
  };
}

function* eventsOf(message: ReturnType<typeof asMessage>): Generator<{ type: string; [key: string]: unknown }> {
  yield { type: "message_start", message: { ...message, content: [], stop_reason: null } };
  for (const [index, block] of message.content.entries()) {
    const isText = block.type === "text";
    const empty = isText ? { ...block, text: "" } : { ...block, input: {} };
    const delta = isText
      ? { type: "text_delta", text: block.text }
      : { type: "input_json_delta", partial_json: JSON.stringify(block.input) };
    yield { type: "content_block_start", index, content_block: empty };
    yield { type: "content_block_delta", index, delta };
    yield { type: "content_block_stop", index };
  }
  yield {
    type: "message_delta",
    delta: { stop_reason: message.stop_reason, stop_sequence: null },
    usage: message.usage,
  };
  yield { type: "message_stop" };
}
