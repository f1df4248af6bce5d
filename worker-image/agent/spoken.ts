/**
 * One message of the stream as lines for people: what the agent said, each tool call in one line, how
 * it ended. Pure; the caller masks.
 */

const MAX_SAID = 4000;
const MAX_CALL = 300;
const MAX_ANSWER = 300;

type Json = Record<string, unknown>;

/** The message in words; null where it has nothing for people. Never throws, whatever its shape. */
export function spoken(message: unknown): string | null {
  if (!isObject(message)) return null;
  const inner = isObject(message["message"]) ? message["message"] : {};
  const blocks = Array.isArray(inner["content"]) ? inner["content"].filter(isObject) : [];
  switch (message["type"]) {
    case "assistant":
      return joined(blocks.map(assistantBlock));
    case "user":
      return joined(blocks.map(toolResult));
    case "system":
      return systemLine(message);
    case "result":
      return resultLine(message);
    default:
      return null;
  }
}

function assistantBlock(block: Json): string | null {
  if (block["type"] === "text") return shortened(asText(block["text"]), MAX_SAID).trim() || null;
  if (block["type"] === "tool_use") return `→ ${String(block["name"])} ${oneLine(block["input"], MAX_CALL)}`;
  return null;
}

function toolResult(block: Json): string | null {
  if (block["type"] !== "tool_result") return null;
  const content = block["content"];
  const texts = Array.isArray(content) ? content.filter(isObject).map((part) => part["text"]) : [content];
  return `${block["is_error"] === true ? "✗" : "←"} ${oneLine(texts.filter((text) => typeof text === "string").join(" "), MAX_ANSWER)}`;
}

function systemLine(message: Json): string | null {
  if (message["subtype"] === "init") {
    const servers = Array.isArray(message["mcp_servers"]) ? message["mcp_servers"].filter(isObject) : [];
    const failed = servers.filter((server) => server["status"] === "failed").map((server) => String(server["name"]));
    const missing = failed.length > 0 ? `; MCP servers that failed: ${failed.join(", ")}` : "";
    return `Claude Code ${String(message["claude_code_version"])}, model ${String(message["model"])}${missing}`;
  }
  if (message["subtype"] !== "api_retry") return null;
  return `The API answered ${String(message["error_status"] ?? message["error"])}; trying again (${String(message["attempt"])})`;
}

function resultLine(message: Json): string {
  const how = message["is_error"] === false ? "done" : "failed";
  const cost = typeof message["total_cost_usd"] === "number" ? message["total_cost_usd"].toFixed(4) : "?";
  const errors = Array.isArray(message["errors"]) ? message["errors"].map(String).join("; ") : "";
  const why = how === "failed" ? `: ${oneLine(message["result"] ?? errors, MAX_ANSWER)}` : "";
  return `= ${how} after ${String(message["num_turns"])} turns, ${cost} USD at list price${why}`;
}

function oneLine(value: unknown, max: number): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  return shortened(
    text
      .slice(0, max * 4)
      .replace(/\s+/g, " ")
      .trim(),
    max,
  );
}

function asText(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

function shortened(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max)} …`;
}

function joined(lines: (string | null)[]): string | null {
  const said = lines.filter((line) => line !== null);
  return said.length > 0 ? said.join("\n") : null;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
