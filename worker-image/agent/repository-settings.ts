/**
 * What a repository may set for Claude Code: nothing, unless the profile trusts it. Then its settings, hooks, skills and
 * MCP servers take effect, but never who pays: that is looked at before each invocation, and pinned for the rest of it,
 * for settings files are watched and the agent may write them.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Brief } from "../contract.ts";
import { billingInServers, billingInSettings, DEFAULT_BASE_URL, refusal } from "./cost-guard.ts";

/** No commit trailers. */
const ATTRIBUTION = { commit: "", pr: "" };

/** Ours win over the repository's, name by name; empty ones have no effect of their own. */
const PINNED_VARIABLES = [
  "ANTHROPIC_API_KEY",
  "ANTHROPIC_AUTH_TOKEN",
  "ANTHROPIC_CUSTOM_HEADERS",
  "ANTHROPIC_UNIX_SOCKET",
  "CLAUDE_API_KEY",
  "CLAUDE_CODE_API_BASE_URL",
  "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR",
  "CLAUDE_CODE_CUSTOM_OAUTH_URL",
  "CLAUDE_CODE_SIMPLE",
  "CLAUDE_CODE_USE_ANTHROPIC_AWS",
  "CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD",
  "CLAUDE_CODE_USE_BEDROCK",
  "CLAUDE_CODE_USE_FOUNDRY",
  "CLAUDE_CODE_USE_GATEWAY",
  "CLAUDE_CODE_USE_MANTLE",
  "CLAUDE_CODE_USE_VERTEX",
] as const;

/**
 * The arguments that say which settings and MCP servers count besides ours. Settings are given inline: a settings file
 * in reach of the agent could redirect the running process.
 */
export function settingsArguments(brief: Brief, modelBaseUrl: string | undefined): string[] {
  if (!brief.profile.trust_repository) {
    const settings = { attribution: ATTRIBUTION, disableAllHooks: true };
    return ["--setting-sources", "", "--settings", JSON.stringify(settings), "--strict-mcp-config"];
  }
  const pinned = Object.fromEntries(PINNED_VARIABLES.map((name) => [name, ""]));
  const env = { ...pinned, ANTHROPIC_BASE_URL: modelBaseUrl || DEFAULT_BASE_URL };
  const settings = { attribution: ATTRIBUTION, apiKeyHelper: "", env };
  return ["--setting-sources", "project", "--settings", JSON.stringify(settings)];
}

/** A sentence where a trusted repository's settings would bill the API or redirect the login; null where not. */
export function findBillingOfRepository(brief: Brief, repo: string, modelBaseUrl: string | undefined): string | null {
  if (!brief.profile.trust_repository) return null;
  const allowed = modelBaseUrl || DEFAULT_BASE_URL;
  for (const [name, judge] of [
    [".claude/settings.json", billingInSettings],
    [".mcp.json", billingInServers],
  ] as const) {
    const content = read(join(repo, name));
    if (content === null) continue;
    if (content === undefined) return refusal(`the repository's ${name} cannot be read, so what it sets is unknown`);
    const found = judge(content, allowed);
    if (found !== null) return refusal(`the repository's ${name} ${found}`);
  }
  return null;
}

/** The file as JSON; null where there is none, undefined where it is no JSON object. */
function read(path: string): Record<string, unknown> | null | undefined {
  try {
    const content: unknown = JSON.parse(readFileSync(path, "utf8"));
    return typeof content === "object" && content !== null ? (content as Record<string, unknown>) : undefined;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    return code === "ENOENT" || code === "ENOTDIR" ? null : undefined;
  }
}
