/** Myzel's tables in a benchmark's database: the backlog as plain SQL, held addressees by real runs of another host. */
import { randomUUID } from "node:crypto";
import type pg from "pg";
import { pino } from "pino";
import { ensureLogins } from "../../../engine/embedded-postgres/logins.ts";
import { makeTickets, tokenHash } from "../../../engine/domain/run-token.ts";
import { openDatabase, openSession } from "../../../engine/store/connection.ts";
import type { Database } from "../../../engine/store/connection.ts";
import { claimRuns } from "../../../engine/store/dispatch.ts";
import type { Claimed } from "../../../engine/store/dispatch.ts";
import { tryToLead } from "../../../engine/store/leadership.ts";
import { migrateDatabase } from "../../../engine/store/migrate.ts";
import type { Cell } from "../contestant.ts";
import { asAdmin, asLogin } from "../server.ts";
import type { BenchServer } from "../server.ts";
import { FREE_ADDRESSEE } from "../shapes.ts";

const RUN_KEY = Buffer.alloc(32, 1);
const LAUNCHER = "process";
/** As many tasks as the engine's own dispatch takes at a time. */
export const BATCH = 64;
/** Far more than the held runs of any shape: the global limit does not bind here. */
const MAX_LIVE_RUNS = 1_000_000;
/** An engine leaves the runs of another host alone: they stay as they are. */
const ELSEWHERE = "elsewhere";

export async function prepareMyzel(url: string, server: BenchServer): Promise<void> {
  await migrateDatabase({ url, rolePrefix: "myzel", log: pino({ level: "silent" }) });
  await ensureLogins({ adminUrl: url, rolePrefix: "myzel", dataDir: server.dataDir });
}

/** URL of the engine's role and of an operator, for this database. */
export async function myzelLogins(cell: Pick<Cell, "url" | "server">): Promise<{ engine: string; operator: string }> {
  const logins = await ensureLogins({ adminUrl: cell.url, rolePrefix: "myzel", dataDir: cell.server.dataDir });
  return { engine: asLogin(cell.url, logins.engine), operator: asLogin(cell.url, logins.operator) };
}

/** A leader of this benchmark's own process: the session that holds the lock, its epoch, a pool. */
export interface BareLeader {
  epoch: number;
  database: Database;
  close(): Promise<void>;
}

export async function leadBare(engineUrl: string): Promise<BareLeader> {
  const connection = { url: engineUrl, applicationName: "myzel-engine bench", statementTimeoutMs: 0 };
  const session = await openSession({ ...connection, max: 1 });
  const epoch = await tryToLead(session, {
    engineId: randomUUID(),
    host: "bench",
    version: "bench",
    launcher: LAUNCHER,
    maxLiveRuns: MAX_LIVE_RUNS,
    keyHash: tokenHash(RUN_KEY.toString("hex")),
  });
  if (epoch === null) throw new Error("somebody else leads the benchmark's database");
  const database = openDatabase({ ...connection, max: 8 });
  return {
    epoch,
    database,
    close: async () => {
      await database.close();
      await session.end();
    },
  };
}

/** One claim of up to `limit` tasks through the store's own function. */
export function claim(leader: BareLeader, options: { host: string; limit: number }): Promise<Claimed> {
  const tickets = makeTickets(RUN_KEY, options.limit, Date.now());
  return claimRuns(leader.database, { epoch: leader.epoch, launcher: LAUNCHER, host: options.host, tickets });
}

/** Fills the database with the cell's backlog; held addressees get a live run each, or a blocked credential. */
export async function fillMyzel(leader: BareLeader, cell: Cell): Promise<void> {
  const { shape, pending, url } = cell;
  if (shape.gate === "credential") await blockCredential(url);
  if (shape.gate === "busy") await holdAddressees(leader, cell);
  await asAdmin(url, (admin) =>
    admin.query(
      `insert into tasks (addressee, prompt) select ${shape.addressee}, 'p' from generate_series(1, ${pending}) i`,
    ),
  );
}

/** Works the log of changed lanes off while nothing may start. Returns how long that took, in ms. */
export async function catchUp(leader: BareLeader, url: string): Promise<number> {
  await asAdmin(url, (admin) => admin.query("update engine_state set paused = true"));
  const begin = performance.now();
  while ((await claim(leader, { host: ELSEWHERE, limit: 1 })).drained > 0);
  const ms = performance.now() - begin;
  await asAdmin(url, (admin) => admin.query("update engine_state set paused = false"));
  return ms;
}

/** Files tasks `from` … `to` of the trickle. */
export async function feedMyzel(client: pg.Client, range: { from: number; to: number }): Promise<void> {
  await client.query(
    `insert into tasks (addressee, prompt) select ${FREE_ADDRESSEE}, 'p' from generate_series($1::int, $2::int) i`,
    [range.from, range.to],
  );
}

async function blockCredential(url: string): Promise<void> {
  await asAdmin(url, async (admin) => {
    await admin.query("insert into credentials (name, blocked_until) values ('blocked', now() + interval '1 day')");
    await admin.query(
      "insert into profiles (name, role, addressee_pattern, credential) values ('blocked', 'red', 'held-%', 'blocked')",
    );
  });
}

/** A task for each held addressee, claimed and launched on another host, so that it stays live. */
async function holdAddressees(leader: BareLeader, cell: Cell): Promise<void> {
  const held = cell.shape.held(cell.pending);
  await asAdmin(cell.url, (admin) =>
    admin.query(
      `insert into tasks (addressee, prompt)
       select distinct ${cell.shape.addressee}, 'p' from generate_series(0, ${held - 1}) i`,
    ),
  );
  let live = 0;
  while (live < held) {
    live += (await claim(leader, { host: ELSEWHERE, limit: 500 })).to_launch.length;
    await asAdmin(cell.url, (admin) => admin.query("analyze runs, tasks, lanes"));
  }
  await asAdmin(cell.url, (admin) => admin.query("update runs set launched_at = now() where launched_at is null"));
}
