/**
 * Where a credential's secret lies on this machine, and whether it is there. The secret goes from here
 * to the supervisor and nowhere else; problems are told in sentences that never hold it.
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { LOGIN_FILE } from "../../../worker-image/claude-secrets.ts";
import type { CredentialSource } from "../launcher.ts";
import type { RunSecrets } from "./run-directory.ts";

/** A token has some hundred characters; a larger file is another one. */
const MAX_TOKEN_BYTES = 65_536;

export interface CredentialPlaces {
  dataDir: string;
  /** CLAUDE_CODE_OAUTH_TOKEN of the engine. */
  claudeToken?: string | undefined;
  environment: NodeJS.ProcessEnv;
}

export type ResolvedCredential = { claude: NonNullable<RunSecrets["claude"]> } | { problem: string };

/** Where `myzel login` keeps the token. */
export function storedTokenPath(dataDir: string): string {
  return join(dataDir, "claude-token");
}

/** The login that runs with this credential get, or a sentence that says what to set. Reads it anew each time. */
export function resolveCredential(credential: CredentialSource, places: CredentialPlaces): ResolvedCredential {
  const { name, env_var: variable, file_path: path, secret_name: secret } = credential;
  if (variable !== null) return fromVariable(name, variable, places.environment);
  if (path !== null) return fromPath(name, path);
  if (secret !== null) {
    return {
      problem: `The credential "${name}" lies in a Kubernetes Secret, and runs are processes here: set its env_var or file_path in the table credentials.`,
    };
  }
  if (name === "default") return defaultCredential(places);
  return {
    problem: `The credential "${name}" names no source: set its env_var or file_path in the table credentials.`,
  };
}

function fromVariable(name: string, variable: string, environment: NodeJS.ProcessEnv): ResolvedCredential {
  const token = environment[variable]?.trim();
  if (token) return { claude: { token } };
  return {
    problem: `The credential "${name}" is to come from the variable ${variable}, which is not set: start the engine with it.`,
  };
}

function fromPath(name: string, path: string): ResolvedCredential {
  const stat = statOrNull(path);
  if (stat === null) {
    return { problem: `The credential "${name}" is to come from ${path}, which is not there or may not be read.` };
  }
  if (!stat.isDirectory()) return fromTokenFile(name, path);
  if (statOrNull(join(path, LOGIN_FILE)) !== null) return { claude: { directory: path } };
  return {
    problem: `The credential "${name}" is to come from the directory ${path}, which holds no login (${LOGIN_FILE}): log in there with \`claude\`, or name a file that holds a token.`,
  };
}

function fromTokenFile(name: string, path: string): ResolvedCredential {
  const token = readToken(path);
  if (token !== null) return { claude: { token } };
  return { problem: `The credential "${name}" is to come from the file ${path}, which holds no token.` };
}

function defaultCredential(places: CredentialPlaces): ResolvedCredential {
  const token = places.claudeToken?.trim() || readToken(storedTokenPath(places.dataDir));
  if (token) return { claude: { token } };
  return {
    problem:
      "There is no Claude login: make a token with `claude setup-token` and store it with `myzel login`, or start the engine with CLAUDE_CODE_OAUTH_TOKEN.",
  };
}

function readToken(path: string): string | null {
  try {
    const stat = statSync(path);
    if (!stat.isFile() || stat.size > MAX_TOKEN_BYTES) return null;
    return readFileSync(path, "utf8").trim() || null;
  } catch {
    return null;
  }
}

function statOrNull(path: string) {
  try {
    return statSync(path);
  } catch {
    return null;
  }
}
