/**
 * graphile-worker with one named queue per addressee, ten jobs at a time: plain, and with its local queue of
 * 500 and completions in batches. A held addressee is a queue that another worker has locked; of credentials
 * it knows nothing, so a queue held by a run that waits stands for a blocked one.
 */
import { Logger, run, runMigrations } from "graphile-worker";
import pg from "pg";
import type { Box, Cell, Contestant } from "../contestant.ts";
import { asAdmin } from "../server.ts";
import { FREE_ADDRESSEE } from "../shapes.ts";

const CONCURRENCY = 10;
const LOCAL_QUEUE = 500;
const POLL_MS = 10;
const silent = new Logger(() => () => {});

export const graphilePlain = graphile("graphile-worker", {});
export const graphileLocalQueue = graphile("graphile-worker, local queue 500", {
  localQueue: { size: LOCAL_QUEUE },
  completeJobBatchDelay: 0,
});

function graphile(name: string, worker: GraphileConfig.WorkerOptions): Contestant {
  return {
    name,
    template: "graphile",
    prepare: async (url) => {
      await runMigrations({ connectionString: url, logger: silent });
      await asAdmin(url, (admin) =>
        admin.query("insert into graphile_worker._private_tasks (identifier) values ('work')"),
      );
    },
    open: async (cell) => {
      await fill(cell);
      const pool = new pg.Pool({ connectionString: cell.url, max: CONCURRENCY + 2 });
      pool.on("error", () => {}); // the next query says so
      pool.on("connect", (client) => client.on("error", () => {}));
      return {
        feed: (range) => feed(pool, range),
        run: (box) => work(pool, worker, box),
        close: () => pool.end(),
      };
    },
  };
}

async function fill({ url, shape, pending }: Cell): Promise<void> {
  const held = shape.held(pending);
  await asAdmin(url, async (admin) => {
    await admin.query(
      `insert into graphile_worker._private_job_queues (queue_name, locked_at, locked_by)
       select addressee, case when ${held} > 0 then now() end, case when ${held} > 0 then 'elsewhere' end
       from (select distinct ${shape.addressee} as addressee from generate_series(1, ${pending}) i) known`,
    );
    await admin.query(
      `insert into graphile_worker._private_jobs (job_queue_id, task_id, run_at)
       select q.id, t.id, now() - interval '1 hour' + i * interval '1 microsecond'
       from graphile_worker._private_tasks t, generate_series(1, ${pending}) i
       join graphile_worker._private_job_queues q on q.queue_name = ${shape.addressee}
       order by i`,
    );
  });
}

async function feed(pool: pg.Pool, range: { from: number; to: number }): Promise<void> {
  await pool.query(
    `select from graphile_worker.add_jobs((
       select array_agg(
         ('work', '{}'::json, ${FREE_ADDRESSEE}, null, null, null, null, null)::graphile_worker.job_spec)
       from generate_series($1::int, $2::int) i))`,
    [range.from, range.to],
  );
}

async function work(pgPool: pg.Pool, worker: GraphileConfig.WorkerOptions, box: Box): Promise<void> {
  const runner = await run({
    pgPool,
    taskList: { work: () => {} },
    preset: { worker: { ...worker, concurrentJobs: CONCURRENCY, pollInterval: POLL_MS } },
    noHandleSignals: true,
    logger: silent,
  });
  runner.events.on("job:complete", () => box.settled(1));
  await new Promise<void>((resolve) => {
    if (box.signal.aborted) resolve();
    box.signal.addEventListener("abort", () => resolve(), { once: true });
  });
  await runner.stop();
}
