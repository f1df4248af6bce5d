/** Where kept logs are stored: writes one after the other, and only what has changed. */
import type { Database } from "../../store/connection.ts";
import { keepLogs, keptLogs } from "../../store/transcripts.ts";
import type { KeptLog } from "./kept-log.ts";

export interface LogOfRun {
  run: { id: string };
  kept: KeptLog;
}

export interface LogStore {
  /** The lines that are stored of these runs' logs, by run id. */
  load(runIds: readonly string[]): Promise<Map<string, string[]>>;
  /** Stores what is new. @returns the runs whose log is not taken any more @throws StaleEpochError */
  keep(logs: readonly LogOfRun[]): Promise<string[]>;
}

/** Logs of one transaction: each has 160 KiB at most, and is copied more than once on its way. */
const BATCH = 4;

export function createLogStore({ database, epoch }: { database: Database; epoch: number }): LogStore {
  /** The version that is stored, by log. */
  const stored = new WeakMap<KeptLog, number>();
  let last: Promise<unknown> = Promise.resolve();

  const write = async (logs: readonly LogOfRun[]): Promise<string[]> => {
    const refused: string[] = [];
    const isNew = ({ kept }: LogOfRun) => kept.version() > (stored.get(kept) ?? 0);
    const changed = logs.filter(isNew);
    for (let from = 0; from < changed.length; from += BATCH) {
      const batch = changed.slice(from, from + BATCH);
      const versions = batch.map(({ kept }) => kept.version());
      const rows = batch.map(({ run, kept }) => ({ runId: run.id, ...kept.content() }));
      const accepted = await keepLogs(database, epoch, rows);
      batch.forEach(({ run, kept }, index) => {
        stored.set(kept, versions[index] ?? 0);
        if (!accepted.has(run.id)) refused.push(run.id);
      });
    }
    return refused;
  };
  return {
    load: (runIds) => keptLogs(database, runIds),
    // In turn, so that nothing older is written over something newer.
    keep: async (logs) => {
      const turn = last.then(() => write(logs));
      last = turn.catch(() => undefined);
      return await turn;
    },
  };
}
