/**
 * A day of a queue in time lapse, on a database with a past: traffic with autovacuum and pruning at work, then the same
 * under a transaction that stays open, then after it. What has become of it is compared with a copy that was put aside at
 * the start; both are measured in turns, so that what else the machine does meanwhile falls on both.
 */
import pg from "pg";
import { pastRuns } from "../support/history.ts";
import { eventually } from "../support/waiting.ts";
import { quantile, tableFigures } from "./figures.ts";
import type { TableFigures } from "./figures.ts";
import { startDayServer } from "./server.ts";
import type { DayDatabase } from "./server.ts";
import { openTraffic } from "./traffic.ts";
import type { Traffic } from "./traffic.ts";
import { afterSnapshotProblems, agedProblems, sizeProblems, underSnapshotProblems } from "./verdict.ts";

export interface DayOptions {
  /** Completed tasks that are there when the day begins, and that are kept. */
  history: number;
  /** Pending tasks, all the time. */
  backlog: number;
  /** Tasks before the start is measured: until what is pruned by age and size has begun to be. */
  warmUp: number;
  /** Tasks of the day. */
  tasks: number;
  /** Tasks while a transaction is open. */
  underSnapshot: number;
  say: (line: string) => void;
  /** Ends it early, with an error. */
  signal?: AbortSignal;
}

/** Medians in milliseconds, of a batch of 64: of the database, and of its copy from the start at the same time. */
export interface Comparison {
  claimMs: number;
  youngClaimMs: number;
  settleMs: number;
  youngSettleMs: number;
}

export interface DayReport {
  start: Map<string, TableFigures>;
  end: Map<string, TableFigures>;
  problems: string[];
}

/** Batches of both databases that a comparison measures, in turns of `TURN`. */
const COMPARED = 30;
const TURN = 5;
const MOST_TRIES = 5;
const BATCH = 64;
/** Dead rows are counted once autovacuum has had time to do what the thresholds of the schema want done. */
const VACUUMED_WITHIN_MS = 60_000;

/** Lives through the day. Everything that it starts is ended. */
export async function liveThroughADay(options: DayOptions): Promise<DayReport> {
  const { history, backlog, say } = options;
  const server = await startDayServer();
  const open: Traffic[] = [];
  const traffic = async (database: DayDatabase): Promise<Traffic> => {
    const opened = await openTraffic(database, { backlog, completed: history, signal: options.signal });
    open.push(opened);
    return opened;
  };
  try {
    await writeHistory(server.database, history);
    const morning = await traffic(server.database);
    await goThrough(morning, options.warmUp, say);
    await morning.close();
    open.pop();
    const start = await tableFigures(server.database);
    const young = await traffic(await server.copy("young"));

    const day = await traffic(server.database);
    await goThrough(day, options.tasks, say);
    const aged = await compareFairly(day, young, agedProblems);
    const end = await figuresOnceVacuumed(server.database);
    const problems = [...aged.problems, ...sizeProblems(start, end)];
    say(`claim and settle of ${BATCH}, medians: ${JSON.stringify(aged.measured)}`);

    const snapshot = await openSnapshot(server.database);
    await goThrough(day, options.underSnapshot, say);
    const underSnapshot = await compareFairly(day, young, (measured, tries) =>
      underSnapshotProblems(measured, options.underSnapshot + tries * COMPARED * BATCH),
    );
    await snapshot.end();
    problems.push(...underSnapshot.problems);
    say(`under an open transaction: ${JSON.stringify(underSnapshot.measured)}`);

    await figuresOnceVacuumed(server.database);
    await goThrough(day, BATCH * TURN, () => undefined); // index entries of the dead rows are cleared by whoever meets them
    const afterSnapshot = await compareFairly(day, young, afterSnapshotProblems);
    problems.push(...afterSnapshot.problems);
    say(`after it: ${JSON.stringify(afterSnapshot.measured)}`);
    return { start, end, problems };
  } finally {
    for (const one of open) await one.close();
    await server.stop();
  }
}

async function writeHistory(database: DayDatabase, tasks: number): Promise<void> {
  const pool = new pg.Pool({ connectionString: database.adminUrl, max: 1 });
  try {
    await pastRuns({ pool }, { tasks, daysAgo: 30 });
    await pool.query("truncate task_events"); // of that age they would be gone
    await pool.query("vacuum analyze");
  } finally {
    await pool.end();
  }
}

async function goThrough(traffic: Traffic, tasks: number, say: (line: string) => void): Promise<void> {
  const { claimMs, settleMs, seconds } = await traffic.run(tasks);
  const halves = (values: readonly number[]) =>
    [0.5, 0.99].map((share) => quantile(values, share).toFixed(1)).join(" / ");
  say(
    `${tasks} tasks in ${seconds.toFixed(1)} s; of ${BATCH}, p50 / p99: claim ${halves(claimMs)} ms, settle ${halves(settleMs)} ms`,
  );
}

/** A moment in which the machine does something else falls on one more than on the other: what is slower is so each time. */
async function compareFairly(
  day: Traffic,
  young: Traffic,
  judge: (measured: Comparison, tries: number) => string[],
): Promise<{ measured: Comparison; problems: string[] }> {
  for (let tries = 1; ; tries++) {
    const measured = await compare(day, young);
    const problems = judge(measured, tries);
    if (problems.length === 0 || tries === MOST_TRIES) return { measured, problems };
  }
}

async function compare(day: Traffic, young: Traffic): Promise<Comparison> {
  const times = {
    day: { claim: [] as number[], settle: [] as number[] },
    young: { claim: [] as number[], settle: [] as number[] },
  };
  for (let turn = 0; turn < COMPARED / TURN; turn++) {
    for (const [traffic, kept] of [
      [day, times.day],
      [young, times.young],
    ] as const) {
      const { claimMs, settleMs } = await traffic.run(TURN * BATCH);
      kept.claim.push(...claimMs);
      kept.settle.push(...settleMs);
    }
  }
  const median = (values: readonly number[]) => Number(quantile(values, 0.5).toFixed(2));
  return {
    claimMs: median(times.day.claim),
    youngClaimMs: median(times.young.claim),
    settleMs: median(times.day.settle),
    youngSettleMs: median(times.young.settle),
  };
}

/** A transaction that looks at the tasks and then does nothing, as somebody leaves psql open, or a dump that takes long. */
async function openSnapshot(database: DayDatabase): Promise<pg.Client> {
  const session = new pg.Client({ connectionString: database.logins.reader });
  await session.connect();
  await session.query("begin isolation level repeatable read");
  await session.query("select count(*) from tasks");
  return session;
}

/** The sizes, once autovacuum needs to do no more: no table has as many dead rows as make it begin. */
async function figuresOnceVacuumed(database: DayDatabase): Promise<Map<string, TableFigures>> {
  const look = async () => {
    const figures = await tableFigures(database);
    return [...figures.values()].every((table) => table.dead_rows <= table.vacuum_threshold) ? figures : null;
  };
  return (
    (await eventually("autovacuum has caught up", look, VACUUMED_WITHIN_MS).catch(() => null)) ?? tableFigures(database)
  );
}
