/**
 * The run's login to Claude: the token variable, or a mounted `~/.claude` that is copied into the run's HOME.
 *
 * Copies the login alone, never settings, and never writes back. A token variable wins over a
 * directory, as it does in Claude Code itself.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LOGIN_FILE } from "../claude-secrets.ts";

/** The key of the login file that holds the subscription's login; others (of MCP servers) are left behind. */
const SUBSCRIPTION_KEY = "claudeAiOauth";

export type Login =
  | { kind: "token"; token: string }
  /** Lies in the run's HOME. */
  | { kind: "directory"; content: string }
  /** There is none: a sentence that says what to do. */
  | { kind: "none"; problem: string };

/** Which login the environment names. Reads, writes nothing. */
export function findLogin(environment: Readonly<Record<string, string | undefined>>): Login {
  const token = environment["CLAUDE_CODE_OAUTH_TOKEN"]?.trim();
  if (token) return { kind: "token", token };
  const directory = environment["MYZEL_CLAUDE_DIR"];
  if (!directory) {
    return none("No Claude credential was given; make one with `claude setup-token` and set CLAUDE_CODE_OAUTH_TOKEN.");
  }
  try {
    const stored = JSON.parse(readFileSync(join(directory, LOGIN_FILE), "utf8")) as Record<string, unknown>;
    const login = stored[SUBSCRIPTION_KEY] as { accessToken?: unknown } | undefined;
    if (typeof login?.accessToken !== "string" || login.accessToken === "") {
      return none(`The login in ${directory} is not one of a Claude subscription; log in again with \`claude\`.`);
    }
    return { kind: "directory", content: JSON.stringify({ [SUBSCRIPTION_KEY]: login }) };
  } catch {
    return none(`There is no readable login in ${directory} (${LOGIN_FILE}); log in with \`claude\` first.`);
  }
}

/** Puts a login of the directory kind into HOME, readable for its owner only. */
export function placeLogin(login: Login, home: string): void {
  if (login.kind !== "directory") return;
  mkdirSync(join(home, ".claude"), { recursive: true, mode: 0o700 });
  writeFileSync(join(home, ".claude", LOGIN_FILE), login.content, { mode: 0o600 });
}

/** Takes the login out of HOME again and returns it as it is now, for Claude Code may have renewed it. */
export function takeLogin(login: Login, home: string): Login {
  if (login.kind !== "directory") return login;
  const path = join(home, ".claude", LOGIN_FILE);
  let content = login.content;
  try {
    content = readFileSync(path, "utf8");
  } catch {
    // Claude Code removed or never wrote it: the one that was copied serves again.
  }
  rmSync(path, { force: true });
  return { kind: "directory", content };
}

function none(problem: string): Login {
  return { kind: "none", problem };
}
