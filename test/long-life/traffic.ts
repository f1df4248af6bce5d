/**
 * Everything that happens to a queue, in small rounds: tasks are filed, claimed, launched, settled (some fail, some are
 * repeated), edited by hand, deleted when they are old, and what they leave is pruned. The backlog stays as long as it is.
 */
import { randomUUID } from "node:crypto";
import { gzipSync } from "node:zlib";
import pg from "pg";
import { jobEnd } from "../../engine/domain/job.ts";
import { settlementOf } from "../../engine/domain/outcome.ts";
import type { Settlement } from "../../engine/domain/outcome.ts";
import { makeTickets } from "../../engine/domain/run-token.ts";
import { openDatabase } from "../../engine/store/connection.ts";
import type { Database } from "../../engine/store/connection.ts";
import { claimRuns } from "../../engine/store/dispatch.ts";
import { markLaunched } from "../../engine/store/runs.ts";
import { settleRuns } from "../../engine/store/settle.ts";
import type { UnlaunchedRun } from "../../engine/store/runs.ts";
import { keepLogs } from "../../engine/store/transcripts.ts";
import type { LogToKeep } from "../../engine/store/transcripts.ts";
import { doneReport } from "../support/instant-launcher.ts";
import { pruneBeside } from "./pruning.ts";
import type { DayDatabase } from "./server.ts";

const RUN_KEY = Buffer.alloc(32, 3);
const HOST = "long-life";
/** As many as dispatch takes at a time. */
const BATCH = 64;
/** Addressees with a backlog each; as many tasks again are for addressees of their own. */
const TEAMS = 400;
/** How old runs and audit rows get, in rounds: not in time, which a busy machine would fill with fewer of them. */
const KEPT_ROUNDS = 40;
/** Rounds between two times that people do something. */
const PEOPLE_EVERY = 10;

export interface Traffic {
  /** Goes through so many tasks; tells of each claim and settle how long it took. */
  run(tasks: number): Promise<Times>;
  close(): Promise<void>;
}

export interface Times {
  claimMs: number[];
  settleMs: number[];
  seconds: number;
}

interface Parts {
  engine: Database;
  operator: pg.Client;
  epoch: number;
}

/** Leads the database, files what is missing of `backlog` tasks, and keeps `completed` tasks that ended. */
export async function openTraffic(
  day: DayDatabase,
  size: { backlog: number; completed: number; signal?: AbortSignal | undefined },
): Promise<Traffic> {
  const engine = openDatabase({ url: day.logins.engine, applicationName: "long life", max: 8 });
  const operator = new pg.Client({ connectionString: day.logins.operator });
  await operator.connect();
  const raised = await engine.pool.query("select raise_epoch($1, $2, 1, '0', 'process', 1000, '\\x00') as epoch", [
    randomUUID(),
    HOST,
  ]);
  const parts: Parts = { engine, operator, epoch: raised.rows[0].epoch };
  const pending = await operator.query("select count(*)::int as count from tasks where status = 'pending'");
  await file(operator, Math.max(0, size.backlog - pending.rows[0].count));
  const ended = await operator.query("select count(*)::int as count from tasks where status = 'completed'");
  let completed = ended.rows[0].count;
  const rounds: number[] = []; // when each began

  /** One round, and now and then what people do. Returns how many tasks were settled. */
  const liveOn = async (times: Times): Promise<number> => {
    size.signal?.throwIfAborted();
    rounds.push(performance.now());
    const round = await oneRound(parts, times);
    completed += round.completed;
    if (rounds.length % PEOPLE_EVERY === 0) {
      completed += await byHand(operator);
      completed -= await deleteOldest(operator, completed - size.completed);
    }
    return round.settled;
  };
  return {
    run: async (tasks) => {
      const begin = performance.now();
      const times: Times = { claimMs: [], settleMs: [], seconds: 0 };
      let done = 0;
      const stopPruning = pruneBeside(engine, () => performance.now() - (rounds.at(-KEPT_ROUNDS) ?? 0));
      try {
        while (done < tasks) done += await liveOn(times);
      } finally {
        await stopPruning();
      }
      return { ...times, seconds: (performance.now() - begin) / 1000 };
    },
    close: async () => {
      await operator.end();
      await engine.close();
    },
  };
}

/** Claims, launches, settles, and files a task for each that was completed. */
async function oneRound(
  { engine, operator, epoch }: Parts,
  times: Times,
): Promise<{ settled: number; completed: number }> {
  const tickets = makeTickets(RUN_KEY, BATCH, Date.now());
  const begin = performance.now();
  const { to_launch } = await claimRuns(engine, { epoch, launcher: "process", host: HOST, tickets });
  times.claimMs.push(performance.now() - begin);
  await markLaunched(
    engine,
    epoch,
    to_launch.map((run) => ({ runId: run.run_id, podName: `${HOST}/1` })),
  );
  await keepLogs(
    engine,
    epoch,
    to_launch.slice(0, 8).map((run) => someLog(run.run_id)),
  );
  const settlements = to_launch.map((run, index) => ({
    runId: run.run_id,
    settlement: fate(run, index),
    podName: null,
    jobEnded: true,
  }));
  const settleBegin = performance.now();
  await settleRuns(engine, epoch, settlements);
  if (to_launch.length > 0) times.settleMs.push(performance.now() - settleBegin);
  const completed = settlements.filter(({ settlement }) => settlement.action === "complete").length;
  await file(operator, completed);
  return { settled: to_launch.length, completed };
}

function someLog(runId: string): LogToKeep {
  const text = Buffer.from(`${JSON.stringify({ type: "log", text: randomUUID().repeat(100) })}\n`);
  return { runId, content: gzipSync(text), rawBytes: text.length, truncated: false };
}

/** One in sixteen fails for good, one in sixteen for a reason of the infrastructure, for the first time. */
function fate(run: UnlaunchedRun, index: number): Settlement {
  const done = (report: Partial<typeof doneReport>) =>
    settlementOf(
      { retries: run.retries, stopReason: null, report: null },
      jobEnd({ spooledReport: { ...doneReport, ...report } }),
      new Date(),
      0,
    );
  if (index % 16 === 3) return done({ success: false, code: "agent_error", error: "It did not work." });
  if (index % 16 === 7 && run.retries === 0) {
    return {
      ...done({ success: false, code: "lost", error: "It is gone." }),
      action: "requeue",
      retry_after_seconds: 0.2,
    };
  }
  return done({});
}

/** Half of them for teams, in one statement; the others for addressees of their own, five of these row by row. */
async function file(operator: pg.Client, tasks: number): Promise<void> {
  const single = Math.min(5, tasks);
  await operator.query(
    `insert into tasks (addressee, prompt, repo_url)
       select case when i % 2 = 0 then 'team-' || (random() * $2)::int else 'worker-' || gen_random_uuid() end,
         'Do it.', 'https://git.example.com/r' || i % 20
       from generate_series(1, $1::int) i`,
    [tasks - single, TEAMS],
  );
  for (let i = 0; i < single; i++) {
    await operator.query("insert into tasks (addressee, prompt) values ('worker-' || gen_random_uuid(), 'Do it.')");
  }
}

/** What people do in psql. Returns by how many there are more completed tasks. */
async function byHand(operator: pg.Client): Promise<number> {
  const some = `id in (select id from tasks where status = 'pending' and addressee like 'team-%' order by addressee limit 3)`;
  await operator.query(
    `select reschedule(id) from (
       select id from tasks where status = 'completed' order by completed_at desc limit 5) latest`,
  );
  await operator.query(`update tasks set status = 'completed' where ${some}`);
  await operator.query(`update tasks set created_at = created_at - interval '1 hour' where ${some}`);
  await operator.query(`update tasks set prompt = prompt || ' Well.' where ${some}`);
  await operator.query("select pause('team-1'), resume('team-1')");
  return 3 - 5;
}

async function deleteOldest(operator: pg.Client, count: number): Promise<number> {
  const { rowCount } = await operator.query(
    `delete from tasks where id in (
       select id from tasks where status = 'completed' order by completed_at limit greatest(0, $1::int))`,
    [count],
  );
  return rowCount ?? 0;
}
