/**
 * A user of its own for each live run, where the engine is root.
 *
 * A user id is reserved by a file of its name, which says for whom. Each data directory begins at a
 * place of its own in the range, so that two engines on one machine (a demo beside the real one, two
 * test files) do not come to share a user: all processes of a run's user are killed when it ends.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { LaunchError } from "../launcher.ts";
import { userIsAlive } from "./end-processes.ts";
import { createJson, readJson } from "./run-directory.ts";

/** How many ids lie between the beginnings of two data directories. */
const BLOCK = 1_024;

/** A reservation whose run has not got its directory after so long was left by a crash. */
const STALE_MS = 60_000;

/** Highest id that every file system stores. */
const MAX_UID = 2 ** 31 - 2;

export interface UidRange {
  first: number;
  count: number;
}

/** Who holds an id: a run, or a repository's mirror (for good). */
type Holder = { runId: string; jobName: string } | { mirror: string };

/**
 * The ids from `base` upwards that exist in this user namespace.
 * @throws LaunchError where there is none
 */
export function uidRange(base: number): UidRange {
  for (const line of readFileSync("/proc/self/uid_map", "utf8").trim().split("\n")) {
    const [first = 0, , count = 0] = line.trim().split(/\s+/).map(Number);
    const end = Math.min(first + count, MAX_UID);
    if (base >= first && base < end) return { first: base, count: end - base };
  }
  throw noSuchUser(base);
}

/** The id that the holder has, or a free one, which is the holder's from now on. */
export function reserveUid(dataDir: string, range: UidRange, holder: Holder): number {
  const directory = reservations(dataDir);
  const held = findReservation(directory, holder);
  if (held !== null) return held;
  for (const uid of candidates(dataDir, range)) {
    const path = join(directory, String(uid));
    if (existsSync(path) && !isStale(dataDir, path, uid)) continue;
    if (userIsAlive(uid)) continue;
    if (createJson(path, holder)) return uid;
  }
  throw new LaunchError("launch_failed", `All ${range.count} user ids from ${range.first} upwards are taken by runs.`);
}

/** Frees the id of a run, unless a process of it is alive or it is somebody else's by now. */
export function releaseUid(dataDir: string, uid: number, runId: string): void {
  const path = join(reservations(dataDir), String(uid));
  const holder = readJson<Holder>(path);
  if (holder !== null && "runId" in holder && holder.runId === runId && !userIsAlive(uid))
    rmSync(path, { force: true });
}

/** What a file system answers where the id means nothing in a user namespace. */
export function noSuchUser(uid: number): LaunchError {
  return new LaunchError(
    "launch_failed",
    `Runs cannot have the user id ${uid} on this machine: set MYZEL_RUN_UID_BASE to the first of some ids that exist here (see /proc/self/uid_map).`,
  );
}

function reservations(dataDir: string): string {
  const directory = join(dataDir, "uids");
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return directory;
}

function findReservation(directory: string, holder: Holder): number | null {
  const wanted = JSON.stringify(holder);
  for (const name of readdirSync(directory)) {
    if (/^\d+$/.test(name) && JSON.stringify(readJson(join(directory, name))) === wanted) return Number(name);
  }
  return null;
}

/** Removes the reservation of a run that no longer exists. */
function isStale(dataDir: string, path: string, uid: number): boolean {
  const holder = readJson<Holder>(path);
  if (holder !== null && "mirror" in holder) return false;
  if (holder !== null && existsSync(join(dataDir, "runs", holder.jobName))) return false;
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || Date.now() - stat.mtimeMs < STALE_MS || userIsAlive(uid)) return false;
  rmSync(path, { force: true });
  return true;
}

function* candidates(dataDir: string, { first, count }: UidRange): Generator<number> {
  const blocks = Math.max(1, Math.floor(count / BLOCK));
  const start = (createHash("sha256").update(realpathSync(dataDir)).digest().readUInt32BE(0) % blocks) * BLOCK;
  const tries = Math.min(count, 1_000_000);
  for (let at = 0; at < tries; at++) yield first + ((start + at) % count);
}
