/** Found by the fault suite: what a broken connection to the recurring work did to the engine. */
import assert from "node:assert/strict";
import { after, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { pino } from "pino";
import { startRecurring } from "../../engine/cron/recurring.ts";
import type { Leader } from "../../engine/loops/leader.ts";
import { openDatabase } from "../../engine/store/connection.ts";
import { DatabaseUnreachableError } from "../../engine/store/errors.ts";
import { testDatabase } from "../support/postgres.ts";
import { eventually } from "../support/waiting.ts";
import { through } from "./database-server.ts";
import { startProxy } from "./proxy.ts";

it("a connection that is lost while the recurring work is being stopped does not end the engine", async () => {
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
  for (const connection of proxy.connections()) connection.cut();
  await stopped;
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
