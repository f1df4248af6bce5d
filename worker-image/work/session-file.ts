/**
 * The CLI's session as a file in HOME: where it lies, how it is read after the agent, how it is laid out for the
 * next attempt.
 *
 * Claude Code 2.1.329 keeps a session as `.claude/projects/<working directory>/<session id>.jsonl` and finds it
 * under another HOME and directory as well, if it is put there under their name (observed).
 */
import { lstat, mkdir, realpath, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import { isRealDirectory, readSmallFile } from "../hostile-files.ts";
import type { Masker } from "../masking.ts";

/** A longer one is not kept: a cut session cannot be resumed. */
const MAX_SESSION_BYTES = 16 * 2 ** 20;

/** The CLI's limit for the name of a directory of ours in `projects`. */
const MAX_NAME_LENGTH = 200;

const SESSION_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export interface KeptSession {
  session_id: string;
  /** gzip of JSON lines, masked. */
  content: Buffer;
}

export interface SessionPlace {
  home: string;
  /** The agent's working directory. */
  cwd: string;
}

/**
 * The session as the agent left it, masked; null where there is none. A file that is too long, or something else than
 * a plain file in its place, is told to `say` and counts as none.
 */
export async function readSession(
  { home, cwd }: SessionPlace,
  sessionId: string | null,
  masker: Masker,
  say: (sentence: string) => void,
): Promise<KeptSession | null> {
  if (sessionId === null || !SESSION_ID.test(sessionId)) return null;
  let directory = home;
  for (const name of ["", ".claude", "projects", await directoryName(cwd)]) {
    directory = join(directory, name);
    if (!(await isRealDirectory(directory))) return null;
  }
  const path = join(directory, `${sessionId}.jsonl`);
  const file = await readSmallFile(path, MAX_SESSION_BYTES);
  if (file === null && (await lstat(path).catch(() => null)) !== null) {
    say("The agent's session is no plain file of at most 16 MiB, so it is not kept.");
  }
  if (file === null || file.length === 0) return null;
  const lines = file.toString("utf8").split("\n");
  const kept = lines.filter((line) => !isCostState(line)).join("\n");
  return { session_id: sessionId, content: await promisify(gzip)(masker.text(kept)) };
}

/** Lays a session out, so that the CLI finds it by its id. @throws Error where the content is none of ours */
export async function placeSession({ home, cwd }: SessionPlace, session: KeptSession): Promise<void> {
  if (!SESSION_ID.test(session.session_id)) throw new Error("That is no id of a session.");
  const content = await promisify(gunzip)(session.content, { maxOutputLength: 2 * MAX_SESSION_BYTES });
  const directory = join(home, ".claude", "projects", await directoryName(cwd));
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await writeFile(join(directory, `${session.session_id}.jsonl`), content, { mode: 0o600 });
}

/** How the CLI names the directory of a working directory's sessions (observed). */
async function directoryName(cwd: string): Promise<string> {
  const path = await realpath(cwd);
  const name = path.replaceAll(/[^a-zA-Z0-9]/g, "-");
  return name.length <= MAX_NAME_LENGTH ? name : `${name.slice(0, MAX_NAME_LENGTH)}-${hashOf(path)}`;
}

/** The CLI's running total of what the session cost: without it the next attempt counts its own from nothing. */
function isCostState(line: string): boolean {
  if (!line.includes('"cost-state"')) return false;
  try {
    return (JSON.parse(line) as { type?: unknown }).type === "cost-state";
  } catch {
    return false;
  }
}

function hashOf(path: string): string {
  let hash = 0;
  for (let at = 0; at < path.length; at++) hash = ((hash << 5) - hash + path.charCodeAt(at)) | 0;
  return Math.abs(hash).toString(36);
}
