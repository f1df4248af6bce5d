/** Checks of Claude Code: the program, its login, and what would bill the API instead of the plan. */
import { findBilling } from "../../../worker-image/agent/cost-guard.ts";
import { ok, problem, warning } from "../../check.ts";
import type { Check } from "../../check.ts";
import type { Config } from "../../config.ts";
import { findClaude, TESTED_CLAUDE_VERSIONS } from "../../launch/process/claude-cli.ts";
import { resolveCredential } from "../../launch/process/claude-credential.ts";
import type { CredentialRow } from "../../store/credentials.ts";

/** What migrating inserts; judged where no database can be asked. */
export const DEFAULT_CREDENTIAL: CredentialRow = {
  name: "default",
  env_var: null,
  file_path: null,
  secret_name: null,
  secret_key: null,
  problem: null,
  blocked_until: null,
  blocked_reason: null,
};

/** @param stored the credentials of the database; null where it cannot be asked */
export async function checkClaude(
  config: Config,
  stored: { rows: readonly CredentialRow[]; engineIsLive: boolean } | null,
): Promise<Check[]> {
  const rows = stored?.rows ?? [DEFAULT_CREDENTIAL];
  return [
    await checkProgram(),
    ...rows.map((row) => checkCredential(config, row, stored?.engineIsLive ?? false)),
    checkManagedSettings(),
    checkEnvironment(),
  ];
}

async function checkProgram(): Promise<Check> {
  const claude = await findClaude(process.env);
  if (claude === null)
    return problem(
      "claude",
      "Claude Code is missing",
      "npm ci in the checkout, or npm install -g @anthropic-ai/claude-code",
    );
  const where = `${claude.path} (${claude.source === "path" ? "on the PATH" : "the pinned one"})`;
  if (claude.version === null) return problem("claude", `${where} does not run`, "install it anew");
  if (claude.tested) return ok("claude", `${claude.version}, a tested version: ${where}`);
  return warning(
    "claude",
    `${claude.version} is none of the tested versions (${TESTED_CLAUDE_VERSIONS.join(", ")}): ${where}`,
    null,
  );
}

/** A live engine has judged it with its own environment; else it is judged with this one. */
function checkCredential(config: Config, row: CredentialRow, engineIsLive: boolean): Check {
  const name = `credential ${row.name}`;
  const blocked = blockedCheck(row);
  if (blocked !== null) return blocked;
  const places = { dataDir: config.dataDir, claudeToken: config.claudeToken, environment: process.env };
  const resolved = resolveCredential(row, places);
  const sentence = engineIsLive ? row.problem : "problem" in resolved ? resolved.problem : null;
  return sentence === null ? ok(name, "present") : problem(name, sentence, null);
}

/** Of credentials that hold up their runs; those that do not have none. */
export function checkBlocked(credentials: readonly CredentialRow[]): Check[] {
  return credentials.map(blockedCheck).filter((check) => check !== null);
}

/** Null: nothing holds up runs with it. */
function blockedCheck({ name, blocked_until, blocked_reason }: CredentialRow): Check | null {
  if (blocked_until === null || blocked_until <= new Date()) return null;
  const until = blocked_until.toISOString();
  return warning(`credential ${name}`, `blocked until ${until}: ${blocked_reason ?? "usage limit"}`, null);
}

function checkManagedSettings(): Check {
  const sentence = findBilling({}, { name: "", environment: {}, mcp_servers: {} });
  return sentence === null
    ? ok("managed settings", "none that bill the API")
    : problem("managed settings", sentence, null);
}

/** Runs get a clean environment, so this harms none of them. */
function checkEnvironment(): Check {
  const found = findBilling(process.env, { name: "", environment: {}, mcp_servers: {} }, "/nonexistent");
  const variable = /variable (\w+) is set/.exec(found ?? "")?.[1];
  if (found === null) return ok("billing", "nothing in this environment bills the API");
  return warning(
    "billing",
    `${variable ?? "a variable"} is set; it is not passed on to runs, but a claude that you start yourself uses it`,
    `unset ${variable ?? "it"}`,
  );
}
