/**
 * Writes the outcome: whole or not at all, and also on a disk that the agent has filled.
 */
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Outcome, WORKSPACE } from "../contract.ts";

/** More than an outcome can weigh; its blocks are freed just before it is written. */
const RESERVE_BYTES = 256 * 2 ** 10;
const RESERVE_FILE = "outcome.reserve";

/** Sets room aside for the outcome. */
export function reserveRoom(workspace: string): void {
  try {
    writeFileSync(join(workspace, RESERVE_FILE), Buffer.alloc(RESERVE_BYTES, 1));
  } catch {
    // Full already: the outcome's own write will say so.
  }
}

/**
 * Atomic: a reader sees the whole outcome or none.
 * @throws the file system's error
 */
export function writeOutcome(workspace: string, outcome: Outcome): void {
  const path = join(workspace, WORKSPACE.outcome);
  rmSync(join(workspace, RESERVE_FILE), { force: true });
  writeFileSync(`${path}.tmp`, JSON.stringify(outcome));
  renameSync(`${path}.tmp`, path);
}
