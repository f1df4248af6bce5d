/**
 * pg-boss in its three modes that keep an addressee serial: a singleton key, key_strict_fifo, and group
 * concurrency 1. Fetches and completes as many at a time as Myzel does. A held addressee is a job that is
 * active elsewhere; of credentials it knows nothing, so such a job stands for a blocked one too.
 */
import { PgBoss } from "pg-boss";
import pg from "pg";
import type { Box, Cell, Contestant } from "../contestant.ts";
import { asAdmin } from "../server.ts";
import { FREE_ADDRESSEE } from "../shapes.ts";
import { BATCH } from "./myzel-database.ts";

const QUEUE = "work";
const PAUSE_MS = 1;

interface Mode {
  readonly policy: "standard" | "singleton" | "key_strict_fifo";
  /** The column that holds the addressee. */
  readonly key: "singleton_key" | "group_id";
  readonly fetch: { groupConcurrency?: number };
}

export const pgBossSingleton = pgBoss("pg-boss, singleton key", {
  policy: "singleton",
  key: "singleton_key",
  fetch: {},
});
export const pgBossStrictFifo = pgBoss("pg-boss, key_strict_fifo", {
  policy: "key_strict_fifo",
  key: "singleton_key",
  fetch: {},
});
export const pgBossGroup = pgBoss("pg-boss, group concurrency 1", {
  policy: "standard",
  key: "group_id",
  fetch: { groupConcurrency: 1 },
});

function pgBoss(name: string, mode: Mode): Contestant {
  return {
    name,
    template: `pg_boss_${mode.policy}`,
    prepare: async (url) => {
      const boss = await started(url);
      await boss.createQueue(QUEUE, { policy: mode.policy });
      await boss.stop({ graceful: false });
    },
    open: async (cell) => {
      await fill(cell, mode);
      await supervise(cell.url);
      const boss = await started(cell.url);
      const feeder = new pg.Client({ connectionString: cell.url });
      await feeder.connect();
      return {
        feed: (range) => feed(feeder, mode, range),
        run: (box) => work(boss, mode, box),
        close: async () => {
          await feeder.end();
          await boss.stop({ graceful: false });
        },
      };
    },
  };
}

async function started(url: string): Promise<PgBoss> {
  const boss = new PgBoss({ connectionString: url, supervise: false, schedule: false });
  boss.on("error", () => {}); // a failed fetch rejects too
  await boss.start();
  return boss;
}

/** Notes the keys that are active, which a fetch by singleton key leaves out; the boss that starts next has them. */
async function supervise(url: string): Promise<void> {
  const boss = await started(url);
  await boss.supervise(QUEUE);
  await boss.stop({ graceful: false });
}

async function fill({ url, shape, pending }: Cell, mode: Mode): Promise<void> {
  await asAdmin(url, async (admin) => {
    if (shape.held(pending) > 0) {
      await admin.query(
        `insert into pgboss.job (name, policy, ${mode.key}, state, started_on)
         select distinct '${QUEUE}', '${mode.policy}', ${shape.addressee}, 'active'::pgboss.job_state, now()
         from generate_series(1, ${pending}) i`,
      );
    }
    await admin.query(
      `insert into pgboss.job (name, policy, ${mode.key}, created_on, start_after)
       select '${QUEUE}', '${mode.policy}', ${shape.addressee},
         now() - interval '1 hour' + i * interval '1 microsecond', now() - interval '1 hour'
       from generate_series(1, ${pending}) i`,
    );
  });
}

async function feed(client: pg.Client, mode: Mode, range: { from: number; to: number }): Promise<void> {
  await client.query(
    `insert into pgboss.job (name, policy, ${mode.key})
     select '${QUEUE}', '${mode.policy}', ${FREE_ADDRESSEE} from generate_series($1::int, $2::int) i`,
    [range.from, range.to],
  );
}

async function work(boss: PgBoss, mode: Mode, box: Box): Promise<void> {
  while (!box.signal.aborted) {
    const begin = performance.now();
    const jobs = await boss.fetch(QUEUE, { batchSize: BATCH, ...mode.fetch });
    box.claimed(performance.now() - begin, jobs.length);
    if (jobs.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      continue;
    }
    await boss.complete(
      QUEUE,
      jobs.map((job) => job.id),
    );
    box.settled(jobs.length);
  }
}
