/**
 * The real queue that a model is compared with: one database, the engine's, an operator's and an inserter's session, and
 * a clock that stands still unless it is moved.
 */
import { randomUUID } from "node:crypto";
import pg from "pg";
import { makeTickets } from "../../engine/domain/run-token.ts";
import { openDatabase } from "../../engine/store/connection.ts";
import { claimRuns } from "../../engine/store/dispatch.ts";
import { testDatabase } from "../support/postgres.ts";
import { EPIC_MOST_LIVE, EPICS, KEEPER, PROJECT } from "./model.ts";

const RUN_KEY = Buffer.alloc(32, 7);
const HOST = "test-host";

export interface RealQueue {
  /** With the engine's login. */
  engine: pg.Client;
  operator: pg.Client;
  /** For transactions that stay open. */
  inserter: pg.Client;
  admin: pg.Pool;
  /** Sets the clock of all sessions. */
  setClock(now: number): Promise<void>;
  /** Empties the database, sets the clock and starts an engine; returns its epoch. */
  restart(options: { now: number; limit: number }): Promise<number>;
  raiseEpoch(limit: number): Promise<number>;
  /** One claim. @throws StaleEpochError */
  claim(epoch: number, limit: number): Promise<{ claimed: number; drained: number }>;
  settle(epoch: number, runId: string, outcome: object): Promise<string>;
  close(): Promise<void>;
}

export async function realQueue(): Promise<RealQueue> {
  const test = await testDatabase();
  const claimer = openDatabase({ url: test.url("engine"), applicationName: "model test", max: 1 });
  const engine = new pg.Client({ connectionString: test.url("engine") });
  const operator = new pg.Client({ connectionString: test.url("operator") });
  const inserter = new pg.Client({ connectionString: test.url("operator") });
  await Promise.all([engine.connect(), operator.connect(), inserter.connect()]);

  const setClock = async (now: number): Promise<void> => {
    const text = new Date(now).toISOString();
    const set = (session: pg.Client | pg.Pool) => session.query("select set_config('myzel.now', $1, false)", [text]);
    await Promise.all([set(claimer.pool), set(engine), set(operator)]);
  };
  const raiseEpoch = async (limit: number): Promise<number> => {
    const { rows } = await engine.query("select raise_epoch($1, $2, 1, '0', 'process', $3, '\\x00') as epoch", [
      randomUUID(),
      HOST,
      limit,
    ]);
    return Number(rows[0].epoch);
  };

  return {
    engine,
    operator,
    inserter,
    admin: test.pool,
    setClock,
    raiseEpoch,
    restart: async ({ now, limit }) => {
      await inserter.query("rollback");
      await test.pool.query(EMPTY);
      await setClock(now);
      await engine.query(KEEPERS, [EPICS, EPIC_MOST_LIVE]);
      return raiseEpoch(limit);
    },
    claim: async (epoch, limit) => {
      const claim = { epoch, launcher: "process", host: HOST, tickets: makeTickets(RUN_KEY, limit, Date.now()) };
      const { to_launch, drained } = await claimRuns(claimer, claim);
      return { claimed: to_launch.length, drained };
    },
    settle: async (epoch, runId, outcome) => {
      const { rows } = await engine.query("select settle_run($1, $2, $3) as answer", [epoch, runId, outcome]);
      return rows[0].answer;
    },
    close: async () => {
      await Promise.all([engine.end(), operator.end(), inserter.end(), claimer.close()]);
      await test.close();
    },
  };
}

/** Back to what emptyModel() says. */
const EMPTY = `
  delete from tasks;
  delete from runs;
  delete from task_events;
  delete from projects;
  insert into projects (name, repo_url, max_live_runs)
    values ('${PROJECT.name}', '${PROJECT.repoUrl}', ${PROJECT.mostLive});
  delete from epics;
  delete from addressees;
  insert into addressees (addressee, capacity, paused) values ('a', 2, false), ('b', 3, false), ('${KEEPER}', 1, true);
  delete from lanes;
  delete from lane_changes;
  update profiles set credential = 'default';
  insert into credentials (name) values ('second') on conflict do nothing;
  insert into profiles (name, role, addressee_pattern, credential) values ('second', 'red', 'second-%', 'second')
    on conflict (name) do update set credential = 'second';
  update credentials set blocked_until = null, blocked_reason = null, problem = null, max_live_runs = null;
  -- what Green and its epics do by themselves is not the model's subject, only that agents may create tasks
  update profiles set role = 'red' where name = 'green';
  alter table epics alter max_depth set default 1000, alter max_tasks set default 100000;
  update engine_state set paused = false`;

/** The epics, and the task that keeps each of them from ending. */
const KEEPERS = `
  with epic as (
    insert into epics (id, addressee, title, max_live_runs, max_runs)
    select id, '${KEEPER}', 'epic', $2, 1000000 from unnest($1::uuid[]) id
    returning id
  ), task as (
    insert into tasks (id, addressee, prompt) select id, '${KEEPER}', 'wait' from epic
    returning id
  )
  insert into task_options (task_id, epic) select id, id from task`;
