/** Removes what is left of ended runs, and what crashes left half-made or half-removed. */
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, renameSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { endProcesses } from "./end-processes.ts";
import { runsDirectory } from "./launcher-settings.ts";
import { removeTree } from "./remove-tree.ts";
import { readJson, RUN_FILES, type RunRecord } from "./run-directory.ts";
import { releaseUid } from "./run-uids.ts";
import { probeSupervisor } from "./supervisor-client.ts";

const END_TIMEOUT_MS = 5_000;

/** Half-made directories younger than this may still be in the making. */
const LEFTOVER_MS = 3_600_000;

/** A run that was never started is kept for a launch to come for so long. */
const NEVER_STARTED_MS = 86_400_000;

/**
 * Removes an ended run, or one that was never started, and frees its user. A run that has not ended,
 * or whose end nobody has looked at yet, stays.
 */
export async function removeRun(dataDir: string, directory: string): Promise<void> {
  const record = readJson<RunRecord>(join(directory, RUN_FILES.record));
  if (record === null || record.host !== hostname()) return;
  const { life } = await probeSupervisor(directory);
  const hasEnd = existsSync(join(directory, RUN_FILES.end));
  if (life === "alive" || (life === "gone" && !hasEnd)) return;
  const { runId, uid } = record;
  if (uid !== null) {
    const processes = { runId, directory, uid, sessions: [], sinceTicks: Number.POSITIVE_INFINITY };
    if (!(await endProcesses(processes, END_TIMEOUT_MS))) return;
  }
  // Gone for everybody at once, however long its removal takes.
  const doomed = join(dirname(directory), `.gone-${randomBytes(6).toString("hex")}`);
  try {
    renameSync(directory, doomed);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  await removeTree(doomed);
  if (uid !== null) releaseUid(dataDir, uid, runId);
}

/** What crashes of earlier engines left. */
export async function removeLeftovers(dataDir: string): Promise<void> {
  const runs = runsDirectory(dataDir);
  if (!existsSync(runs)) return;
  for (const name of readdirSync(runs)) {
    const path = join(runs, name);
    const ageMs = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (name.startsWith(".gone-") || (name.startsWith(".new-") && ageMs > LEFTOVER_MS)) await removeTree(path);
    else if (!name.startsWith(".") && ageMs > NEVER_STARTED_MS && wasNeverStarted(path)) await removeRun(dataDir, path);
  }
}

function wasNeverStarted(directory: string): boolean {
  return [RUN_FILES.socket, RUN_FILES.end].every((name) => !existsSync(join(directory, name)));
}
