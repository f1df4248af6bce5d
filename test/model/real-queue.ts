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
import { PROJECT } from "./model.ts";

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
  /** In one call; an answer for each, in the order given. @throws with code MZ001 */
  settle(epoch: number, outcomes: readonly object[]): Promise<{ run_id: string; answer: string }[]>;
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
      return raiseEpoch(limit);
    },
    claim: async (epoch, limit) => {
      const claim = { epoch, launcher: "process", host: HOST, tickets: makeTickets(RUN_KEY, limit, Date.now()) };
      const { to_launch, drained } = await claimRuns(claimer, claim);
      return { claimed: to_launch.length, drained };
    },
    settle: async (epoch, outcomes) => {
      const { rows } = await engine.query(SETTLE, [epoch, JSON.stringify(outcomes)]);
      return rows;
    },
    close: async () => {
      await Promise.all([engine.end(), operator.end(), inserter.end(), claimer.close()]);
      await test.close();
    },
  };
}

const SETTLE = `
  select s.run_id, s.answer
  from jsonb_array_elements($2::jsonb) with ordinality given (outcome, place)
  join settle_runs($1, $2) s on s.run_id = (given.outcome ->> 'run_id')::uuid
  order by given.place`;

/** Back to what emptyModel() says. Epics first: then nobody is woken for the tasks that go. */
const EMPTY = `
  delete from epics;
  delete from tasks;
  delete from runs;
  delete from task_events;
  delete from projects;
  delete from project_days;
  insert into projects (name, repo_url, max_live_runs)
    values ('${PROJECT.name}', '${PROJECT.repoUrl}', ${PROJECT.mostLive});
  delete from addressees;
  insert into addressees (addressee, capacity) values ('a', 2), ('b', 3);
  delete from lanes;
  delete from lane_changes;
  insert into credentials (name) values ('second') on conflict do nothing;
  insert into profiles (name, role, addressee_pattern) values ('second', 'red', 'second-%'), ('lead', 'red', 'lead-%')
    on conflict do nothing;
  update profiles set credential = case name when 'second' then 'second' else 'default' end,
    may_create_tasks = name in ('green', 'lead');
  update credentials set blocked_until = null, blocked_reason = null, problem = null, max_live_runs = null,
    keep_reserve = false, warned_until = null;
  update engine_state set paused = false, max_daily_cost_usd = null`;
