/** What every loop of a leading engine gets. */
import type pg from "pg";
import type { Logger } from "pino";
import type { Launcher } from "../launch/launcher.ts";
import type { Database } from "../store/connection.ts";
import type { UnlaunchedRun } from "../store/runs.ts";
import type { RunLogs } from "./logs/run-logs.ts";

export interface Leader {
  readonly epoch: number;
  /** Aborted when this engine stops or may not lead any more. */
  readonly signal: AbortSignal;
  readonly host: string | null;
  readonly database: Database;
  /** Holds the leader lock, listens, and says whether the engine sleeps. */
  readonly session: pg.Client;
  readonly launcher: Launcher;
  readonly log: Logger;
  readonly runKey: Buffer;
  readonly pollIntervalMs: number;
  /** Runs that this engine is launching right now, or has launched and not noted yet. */
  readonly launching: Set<string>;
  /** Runs whose settle waits for somebody's open transaction, and of which that has been said. */
  readonly heldUp: Set<string>;
  /** Runs that wait for their turn to be launched, by id, oldest first. */
  readonly toLaunch: Map<string, UnlaunchedRun>;
  /** The logs of runs, as far as this engine keeps them. */
  readonly logs: RunLogs;
}
