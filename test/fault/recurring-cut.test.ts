/** Found by the fault suite: what a broken connection to the recurring work did to the engine. */
import assert from "node:assert/strict";
import { after, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import { pino } from "pino";
import { startRecurring } from "../../engine/cron/recurring.ts";
import type { Leader } from "../../engine/loops/leader.ts";
import { openDatabase } from "../../engine/store/connection.ts";
import { DatabaseUnreachableError } from "../../engine/store/errors.ts";
import { testDatabase } from "../support/postgres.ts";
import { eventually } from "../support/waiting.ts";
import { through } from "./database-server.ts";
import { startProxy } from "./proxy.ts";

/** Recurring work whose connection is lost while it stops; returns its database. `beforehand` is told just before. */
async function cutWhileStopping(beforehand: (pool: pg.Pool) => void = () => undefined) {
  const test = await testDatabase();
  after(() => test.close());
  const proxy = await startProxy(() => Number(new URL(test.adminUrl).port));
  after(() => proxy.close());
  const database = openDatabase({
    url: through(test.url("engine"), proxy.port),
    applicationName: "recurring",
    max: 8,
  });
  after(() => database.close());

  const leader = { database, log: pino({ level: "silent" }) } as unknown as Leader;
  const start = () => startRecurring(leader, { keepTranscriptsMs: 1_000 });
  await (
    await start()
  )(); // makes its schema

  proxy.latencyMs = 300;
  const stop = await start();
  await eventually("its LISTEN has reached the server, the answer is still on its way", async () => {
    const { rowCount } = await test.pool.query(
      `select from pg_stat_activity where datname = $1 and query like 'LISTEN "jobs:insert"%'`,
      [test.name],
    );
    return rowCount === 1;
  });
  const stopped = stop();
  await delay(0);
  beforehand(database.pool);
  for (const connection of proxy.connections()) connection.cut();
  await stopped;
  return database;
}

it("a connection that is lost while the recurring work is being stopped does not end the engine", async () => {
  await cutWhileStopping();
});

it("nor does its listener, which asks for another connection when the pool has been closed", async () => {
  const asked = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const database = await cutWhileStopping((pool) => {
    const connect = pool.connect.bind(pool) as (...args: unknown[]) => unknown;
    pool.connect = ((...args: unknown[]) => {
      asked.resolve();
      void closed.promise.then(() => connect(...args));
    }) as typeof pool.connect;
  });
  await asked.promise;
  await database.close();
  closed.resolve();
  await delay(0);
});

it("recurring work that cannot begin for want of a connection says so as every part of the engine does", async () => {
  const proxy = await startProxy(() => 0);
  await proxy.close(); // nobody listens there any more
  const url = `postgresql://nobody@127.0.0.1:${proxy.port}/nothing`;
  const database = openDatabase({ url, applicationName: "recurring", max: 2 });
  after(() => database.close());
  const leader = { database, log: pino({ level: "silent" }) } as unknown as Leader;
  await assert.rejects(startRecurring(leader, { keepTranscriptsMs: 1_000 }), DatabaseUnreachableError);
});
