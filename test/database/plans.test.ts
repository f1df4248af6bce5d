/**
 * What claiming, marking and settling really read, statement by statement: no whole table, and a bounded number of rows a
 * task, however many tasks wait and runs are live; also with plans that were made while the tables were empty.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type pg from "pg";
import { jobEnd } from "../../engine/domain/job.ts";
import { settlementOf } from "../../engine/domain/outcome.ts";
import { makeTickets } from "../../engine/domain/run-token.ts";
import { explained, explainEverything } from "../support/explained.ts";
import type { Explained } from "../support/explained.ts";
import { doneReport } from "../support/instant-launcher.ts";
import { schemaClient } from "../support/schema-client.ts";

const BATCH = 50;
/** Runs that stay live beside the batch. */
const HELD = 400;
const ROUNDS = 4;

const SHAPES = {
  "one addressee with everything": "'one'",
  "an addressee for each task": "'w' || i",
};

/**
 * Rows a task, through all nodes of all plans: about a third more than was seen. A plan that compares each task with
 * every other of its batch, or with every live run, handles hundreds.
 */
const MOST_ROWS = { claim: 95, mark: 52, settle: 95 };
/** A head behind a gate is judged beside those that start with it. */
const MOST_ROWS_BEHIND_A_GATE = 300;

/** Small whatever happens: reading them whole is right. */
const SMALL = new Set(["engine_state", "credentials", "profiles", "projects", "lane_changes"]);

/** They hold live runs alone, are read from their end, or belong to a small table. */
const WALKED = new Set(["runs_live_slot", "runs_live_task", "lanes_wake", "credentials_pkey", "profiles_pkey"]);

for (const size of [100, 20_000]) {
  for (const [shape, addressee] of Object.entries(SHAPES)) {
    describe(`with ${size} tasks waiting, ${shape}`, () => {
      it("a batch reads no whole table and a bounded number of rows a task", async () => {
        const db = await schemaClient(10_000);
        const session = await db.pool.connect();
        try {
          const queue = queueOf(session, db.epoch);
          await queue.fill("'first' || i", 2);
          await queue.cycle(1);
          await session.query("vacuum analyze"); // tells the planner that all tables are empty, or nearly so
          await queue.cycle(1); // makes the plans
          await queue.fill("'held-' || i", HELD);
          await queue.claim(HELD);
          await queue.fill(addressee, size);
          await queue.fill("'free-' || i", (ROUNDS + 1) * BATCH);
          const firstColumns = await explainEverything(session);
          for (let round = 0; round < ROUNDS; round++) {
            if (round === ROUNDS / 2) await db.pool.query("analyze"); // as autovacuum may at any moment
            await boundedRound(session, firstColumns, queue);
          }
        } finally {
          session.release(true);
          await db.close();
        }
      });
    });
  }
}

describe("with 3000 heads parked behind a project's limit", () => {
  it("a batch of that project reads no whole table and a bounded number of rows a task", async () => {
    const db = await schemaClient(10_000);
    const session = await db.pool.connect();
    try {
      const queue = queueOf(session, db.epoch);
      await queue.fill("'first' || i", 2);
      await queue.cycle(1);
      await session.query("vacuum analyze");
      await queue.cycle(1); // makes the plans
      await queue.fill("'held-' || i", HELD);
      await queue.claim(HELD);
      await session.query("insert into projects (name, repo_url, max_live_runs) values ('p', 'https://h/p', $1)", [
        BATCH,
      ]);
      await queue.fill("'w' || i", 3000, "'https://h/p'");
      await queue.workOff();
      let live = await queue.claim(BATCH);
      const parked = "select count(*)::int as parked from lanes where gate = 'project p'";
      for (let left = 0; left < 3000 - BATCH; left = (await session.query(parked)).rows[0].parked)
        await queue.claim(BATCH);
      const firstColumns = await explainEverything(session);
      for (let round = 0; round < ROUNDS; round++) {
        if (round === ROUNDS / 2) await db.pool.query("analyze");
        await queue.settle(live);
        live = [];
        const spent = await explained(session, firstColumns, async () => {
          while (live.length < BATCH) live.push(...(await queue.claim(BATCH)));
        });
        assertBounded("claim", spent, { tasks: BATCH, most: MOST_ROWS_BEHIND_A_GATE });
      }
    } finally {
      session.release(true);
      await db.close();
    }
  });
});

async function boundedRound(
  session: pg.PoolClient,
  firstColumns: ReadonlyMap<string, string>,
  queue: Queue,
): Promise<void> {
  await queue.workOff();
  let runs: string[] = [];
  const spent = {
    claim: await explained(session, firstColumns, async () => {
      runs = await queue.claim(BATCH);
    }),
    mark: await explained(session, firstColumns, () => queue.mark(runs)),
    settle: await explained(session, firstColumns, () => queue.settle(runs)),
  };
  assert.ok(runs.length >= BATCH - 1, `${runs.length} claimed`);
  for (const [step, one] of Object.entries(spent)) {
    assertBounded(step, one, { tasks: runs.length, most: MOST_ROWS[step as keyof typeof MOST_ROWS] });
  }
}

function assertBounded(
  step: string,
  { rows, sequential, walked }: Explained,
  { tasks, most }: { tasks: number; most: number },
): void {
  assert.ok(rows > tasks, `${step} told no plans`);
  assert.ok(rows / tasks <= most, `${step}: ${Math.round(rows / tasks)} rows a task`);
  assert.deepEqual(
    [...sequential].filter((table) => !SMALL.has(table)),
    [],
    `${step} reads whole tables`,
  );
  assert.deepEqual(
    [...walked].filter((index) => !WALKED.has(index)),
    [],
    `${step} walks whole indexes`,
  );
}

interface Queue {
  fill(addressee: string, count: number, repoUrl?: string): Promise<void>;
  claim(limit: number): Promise<string[]>;
  mark(runIds: readonly string[]): Promise<void>;
  settle(runIds: readonly string[]): Promise<void>;
  cycle(limit: number): Promise<void>;
  /** All changes of lanes so far. */
  workOff(): Promise<void>;
}

/** The engine's calls, all through one session. */
function queueOf(session: pg.PoolClient, epoch: number): Queue {
  const queue: Queue = {
    fill: async (addressee, count, repoUrl = "null") => {
      await session.query(
        `insert into tasks (addressee, prompt, repo_url) select ${addressee}, 'p', ${repoUrl} from generate_series(1, $1) i`,
        [count],
      );
    },
    workOff: async () => {
      do await queue.claim(0);
      while ((await session.query("select from lane_changes limit 1")).rows.length > 0);
    },
    claim: async (limit) => {
      const tickets = makeTickets(Buffer.alloc(32, 7), limit, Date.now());
      const { rows } = await session.query(
        "select to_launch from claim_runs($1, 'process', 'test-host', $2, $3::uuid[], $4::bytea[])",
        [epoch, limit, tickets.map((ticket) => ticket.runId), tickets.map((ticket) => ticket.tokenHash)],
      );
      return rows[0].to_launch.map((run: { run_id: string }) => run.run_id);
    },
    mark: async (runIds) => {
      await session.query("select mark_launched($1, $2::uuid[], $3::text[])", [epoch, runIds, runIds.map(() => "pod")]);
    },
    settle: async (runIds) => {
      const settlement = settlementOf({ retries: 0, stopReason: null, report: doneReport }, jobEnd({}), new Date(), 0);
      const settlements = runIds.map((run_id) => ({ run_id, ...settlement }));
      await session.query("select settle_runs($1, $2::jsonb)", [epoch, JSON.stringify(settlements)]);
    },
    cycle: async (limit) => {
      const runs = await queue.claim(limit);
      await queue.mark(runs);
      await queue.settle(runs);
    },
  };
  return queue;
}
