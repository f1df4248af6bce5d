/** Found by the fault suite: a claim whose answer was lost kept every later claim of that engine from working. */
import assert from "node:assert/strict";
import { after, it } from "node:test";
import { pino } from "pino";
import { dispatchTick } from "../../engine/loops/dispatch.ts";
import type { Leader } from "../../engine/loops/leader.ts";
import { openDatabase } from "../../engine/store/connection.ts";
import { DatabaseUnreachableError } from "../../engine/store/errors.ts";
import { schemaClient } from "../support/schema-client.ts";
import { eventually } from "../support/waiting.ts";
import { through } from "./database-server.ts";
import { startProxy } from "./proxy.ts";

it("an engine goes on claiming after a claim was committed whose answer was lost", async () => {
  const schema = await schemaClient();
  after(() => schema.close());
  const proxy = await startProxy(() => Number(new URL(schema.test.adminUrl).port));
  after(() => proxy.close());
  const database = openDatabase({ url: through(schema.test.url("engine"), proxy.port), applicationName: "e", max: 1 });
  after(() => database.close());
  const leader = {
    epoch: schema.epoch,
    host: "test-host",
    database,
    launcher: { name: "process" },
    log: pino({ level: "silent" }),
    runKey: Buffer.alloc(32, 7),
  } as unknown as Leader;
  const launched: string[] = [];
  const tick = dispatchTick(leader, (runs) => launched.push(...runs.map((run) => run.task_id)));

  const first = await schema.insert({ addressee: "one" });
  await database.pool.query("select"); // connected
  proxy.latencyMs = 1_500; // in which the claim has to be noticed, also where this process is kept waiting
  const claiming = assert.rejects(tick(), DatabaseUnreachableError);
  await eventually("the claim is committed, its answer on the way", () => schema.liveRun(first));
  for (const connection of proxy.connections()) connection.cut();
  await claiming;
  proxy.latencyMs = 0;

  const second = await schema.insert({ addressee: "two" });
  await tick();
  assert.deepEqual(launched, [second]);
});
