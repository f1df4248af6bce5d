/**
 * The guard against being billed by the API instead of the subscription.
 *
 * Looks before the start at everything that moves Claude Code off the subscription's login: variables,
 * the profile, the machine's managed settings. It refuses instead of clearing, so that nobody believes in a
 * setting without effect. It names what it found and never says its value. What it cannot see before
 * the start (`judge.ts` does) shows in the stream. The ways were found by experiment with Claude Code
 * 2.1.329 and from the names in its binary.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { BriefProfile } from "../contract.ts";
import { profileSecrets } from "../profile-secrets.ts";

type Variables = Readonly<Record<string, string | undefined>>;

/** Where the subscription is served. */
export const DEFAULT_BASE_URL = "https://api.anthropic.com";

/** Variables that name another payer, another endpoint or switch off the subscription's login. */
const BILLING_VARIABLES: readonly RegExp[] = [
  /^ANTHROPIC_(\w+_)?(API_KEY|AUTH_TOKEN)$/,
  /^ANTHROPIC_(CUSTOM_HEADERS|UNIX_SOCKET|PROFILE|CONFIG_DIR|FEDERATION_RULE_ID)$/,
  /^ANTHROPIC_IDENTITY_TOKEN(_FILE)?$/,
  /^ANTHROPIC_\w+_BASE_URL$/,
  /^CLAUDE_API_KEY$/,
  /^CLAUDE_CODE_USE_(?!NATIVE_FILE_SEARCH$|POWERSHELL_TOOL$|COWORK_PLUGINS$)\w+$/,
  /^CLAUDE_CODE_API_(KEY_FILE_DESCRIPTOR|BASE_URL)$/,
  /^CLAUDE_CODE_(SIMPLE|CUSTOM_OAUTH_URL|HOST_AUTH_ENV_VAR|PROVIDER_MANAGED_BY_HOST|SIMULATE_PROXY_USAGE)$/,
  /^CLAUDE_CODE_GATEWAY_TOKEN(_FILE_DESCRIPTOR)?$/,
  /^CLAUDE_CODE_(SESSION_ACCESS_TOKEN|RUNNER_MODEL_SOCKET|LAUNCHER_RUNS_API_KEY_HELPER)$/,
];

/** Logins that only the run itself may bring; the profile is stored in the database and never holds a secret. */
const LOGIN_VARIABLE = /^CLAUDE_CODE_OAUTH_(TOKEN|REFRESH_TOKEN|TOKEN_FILE_DESCRIPTOR)$/;

/** Where Claude Code looks for settings that an administrator has set for the machine (Linux). */
const MANAGED_SETTINGS_DIR = "/etc/claude-code";

/**
 * A sentence that names what would bill the API, without its value; null where nothing would.
 * `managedSettingsDir` is a parameter for tests.
 */
export function findBilling(
  environment: Variables,
  profile: Pick<BriefProfile, "name" | "environment" | "mcp_servers">,
  managedSettingsDir: string = MANAGED_SETTINGS_DIR,
): string | null {
  const allowedBaseUrl = environment["MYZEL_MODEL_BASE_URL"] || DEFAULT_BASE_URL;
  const inEnvironment = billingVariable(environment, allowedBaseUrl);
  if (inEnvironment !== null) return refusal(`the variable ${inEnvironment} is set`);
  const inProfile = billingVariable(profile.environment, allowedBaseUrl) ?? loginVariable(profile.environment);
  if (inProfile !== null) return refusal(`the environment of profile "${profile.name}" sets ${inProfile}`);
  const secrets = profileSecrets(environment);
  const inSecrets = billingVariable(secrets, allowedBaseUrl) ?? loginVariable(secrets);
  if (inSecrets !== null) return refusal(`the secrets of profile "${profile.name}" set ${inSecrets}`);
  for (const [server, config] of Object.entries(profile.mcp_servers)) {
    const variable = billingVariable(variablesOf(config), allowedBaseUrl);
    if (variable !== null) return refusal(`MCP server "${server}" of profile "${profile.name}" sets ${variable}`);
  }
  return managedSettingsProblem(managedSettingsDir, allowedBaseUrl);
}

/** The name of the first variable that would bill the API; empty ones have no effect and pass. */
function billingVariable(variables: Variables, allowedBaseUrl: string): string | null {
  for (const [name, value] of Object.entries(variables)) {
    if (value === undefined || value === "") continue;
    if (name === "ANTHROPIC_BASE_URL" && !sameUrl(value, allowedBaseUrl)) return name;
    if (BILLING_VARIABLES.some((pattern) => pattern.test(name))) return name;
  }
  return null;
}

function managedSettingsProblem(directory: string, allowedBaseUrl: string): string | null {
  for (const path of managedSettingsFiles(directory)) {
    let settings: Record<string, unknown>;
    try {
      settings = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
    } catch (error) {
      if (isMissing(error)) continue;
      return refusal(`the managed settings in ${path} cannot be read, so what they set is unknown`);
    }
    const found = billingInSettings(settings, allowedBaseUrl);
    if (found !== null) return refusal(`${path}, managed for this machine, ${found}`);
  }
  return null;
}

/** What a settings file of Claude Code does that would bill the API, as the end of a sentence; null: nothing. */
export function billingInSettings(settings: Readonly<Record<string, unknown>>, allowedBaseUrl: string): string | null {
  if (settings["apiKeyHelper"]) return "names an apiKeyHelper";
  if (settings["forceLoginMethod"] && settings["forceLoginMethod"] !== "claudeai") {
    return "forces a login other than the subscription's";
  }
  const variables = variablesOf(settings);
  const found = billingVariable(variables, allowedBaseUrl) ?? loginVariable(variables);
  return found === null ? null : `sets ${found}`;
}

/** The same of a file of MCP servers. */
export function billingInServers(file: Readonly<Record<string, unknown>>, allowedBaseUrl: string): string | null {
  const servers = file["mcpServers"];
  for (const [name, config] of Object.entries(typeof servers === "object" && servers !== null ? servers : {})) {
    const variable = billingVariable(variablesOf(config), allowedBaseUrl);
    if (variable !== null) return `sets ${variable} for the MCP server "${name}"`;
  }
  return null;
}

function loginVariable(variables: Variables): string | null {
  return Object.keys(variables).find((name) => LOGIN_VARIABLE.test(name) && variables[name] !== "") ?? null;
}

function managedSettingsFiles(directory: string): string[] {
  const main = join(directory, "managed-settings.json");
  const folder = join(directory, "managed-settings.d");
  try {
    const parts = readdirSync(folder).filter((name) => name.endsWith(".json"));
    return [main, ...parts.map((name) => join(folder, name))];
  } catch {
    return [main];
  }
}

function variablesOf(holder: unknown): Variables {
  const env = (holder as { env?: unknown } | null)?.env;
  return typeof env === "object" && env !== null ? (env as Variables) : {};
}

function sameUrl(a: string, b: string): boolean {
  return a.trim().replace(/\/+$/, "") === b.trim().replace(/\/+$/, "");
}

function isMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "ENOENT" || code === "ENOTDIR";
}

/** The guard's sentence. */
export function refusal(found: string): string {
  return `Refused to start, for the API would be billed instead of the subscription: ${found}.`;
}
