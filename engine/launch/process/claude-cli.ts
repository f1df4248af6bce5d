/**
 * Which Claude Code runs here: the one on the PATH or, without one, the pinned one that comes along.
 *
 * npm puts this project's own `node_modules/.bin` at the front of the PATH of its scripts. What lies
 * there is the pinned one and never counts as the user's, so that `npm start` and a plain start agree.
 */
import { execFile } from "node:child_process";
import { accessSync, constants, existsSync, realpathSync, statSync } from "node:fs";
import { delimiter, isAbsolute, join, sep } from "node:path";
import { promisify } from "node:util";
import { findPackage } from "./package-closure.ts";

/** Versions that the tests have run with. */
export const TESTED_CLAUDE_VERSIONS: readonly string[] = ["2.1.329"];

const VERSION_TIMEOUT_MS = 10_000;

export interface ClaudeLocation {
  path: string;
  source: "path" | "bundled";
}

export interface ClaudeCli extends ClaudeLocation {
  /** As `claude --version` says; null where it does not run. */
  version: string | null;
  tested: boolean;
}

/** The CLI that runs use, with its version; null where there is none. */
export async function findClaude(environment: NodeJS.ProcessEnv): Promise<ClaudeCli | null> {
  const location = locateClaude(environment);
  if (location === null) return null;
  const version = await claudeVersion(location.path, environment);
  return { ...location, version, tested: version !== null && TESTED_CLAUDE_VERSIONS.includes(version) };
}

/** The same without asking for its version. */
export function locateClaude(environment: NodeJS.ProcessEnv): ClaudeLocation | null {
  for (const directory of searchPath(environment)) {
    const path = join(directory, "claude");
    if (isProgram(path)) return { path, source: "path" };
  }
  const path = bundledClaude();
  return path === null ? null : { path, source: "bundled" };
}

/**
 * The directories of the PATH that belong to the user: without those that npm adds for its scripts,
 * which would give the agents this project's tools in place of the user's.
 */
export function searchPath(environment: NodeJS.ProcessEnv): string[] {
  const addedByNpm = [`${sep}node_modules${sep}.bin`, `${sep}node-gyp-bin`];
  return (environment["PATH"] ?? "")
    .split(delimiter)
    .filter((directory) => isAbsolute(directory) && !addedByNpm.some((end) => directory.endsWith(end)));
}

/** The native binary of the pinned package, which is there also where install scripts did not run. */
function bundledClaude(): string | null {
  for (const variant of ["", "-musl"]) {
    const name = `@anthropic-ai/claude-code-${process.platform}-${process.arch}${variant}`;
    const directory = findPackage(name, import.meta.dirname);
    const path = directory === null ? null : join(directory, "claude");
    if (path !== null && existsSync(path)) return path;
  }
  return null;
}

async function claudeVersion(path: string, environment: NodeJS.ProcessEnv): Promise<string | null> {
  try {
    const { stdout } = await promisify(execFile)(path, ["--version"], {
      env: { PATH: environment["PATH"], HOME: environment["HOME"], LANG: "C.UTF-8" },
      timeout: VERSION_TIMEOUT_MS,
    });
    return /\d+\.\d+\.\d+\S*/.exec(stdout)?.[0] ?? null;
  } catch {
    return null;
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(realpathSync(path)).isFile();
  } catch {
    return false;
  }
}
