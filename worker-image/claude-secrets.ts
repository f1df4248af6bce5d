/**
 * The secret values of the run's Claude login, for masking only.
 *
 * Read from the token variable and from a `~/.claude` directory. The values leave this module towards
 * the masker and nowhere else.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Where a `~/.claude` directory keeps its login. */
export const LOGIN_FILE = ".credentials.json";

const SECRET_KEY = /token|secret|key/i;

/** Every secret value of the login that the environment names (`CLAUDE_CODE_OAUTH_TOKEN`, `MYZEL_CLAUDE_DIR`); never throws. */
export function claudeSecrets(environment: Readonly<Record<string, string | undefined>>): string[] {
  const token = environment["CLAUDE_CODE_OAUTH_TOKEN"]?.trim();
  const directory = environment["MYZEL_CLAUDE_DIR"];
  return [...(token ? [token] : []), ...(directory ? loginSecrets(directory) : [])];
}

/** The secret values of a `~/.claude` directory's login; none where there is no readable one. */
export function loginSecrets(directory: string): string[] {
  try {
    const found: string[] = [];
    collect(JSON.parse(readFileSync(join(directory, LOGIN_FILE), "utf8")), found);
    return found;
  } catch {
    return [];
  }
}

function collect(value: unknown, found: string[]): void {
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    if (typeof inner === "string" && SECRET_KEY.test(key)) found.push(inner);
    else collect(inner, found);
  }
}
