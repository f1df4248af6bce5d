/**
 * Claim and settle: how many cycles a second a contestant reaches within a box of time, what a claim takes,
 * and the WAL that one task costs. The box ends early where nothing is left.
 */
import pg from "pg";
import { printProfile, startProfile } from "../profile.ts";
import type { Contestant } from "../contestant.ts";
import { quantile, round } from "../figures.ts";
import type { BenchServer } from "../server.ts";
import type { Shape } from "../shapes.ts";

/** So many tasks of the trickle are waiting, or on their way, at any time. */
const TRICKLE = 1_000;

export interface Cycles {
  cycles_per_second: number;
  /** Of claims that returned something; null where the contestant's claims cannot be timed from outside. */
  claim_p50_ms: number | null;
  claim_p99_ms: number | null;
  wal_bytes_per_task: number;
  settled: number;
  /** Making the backlog and letting the tables settle; not part of any rate. */
  fill_seconds: number;
}

export async function measureCycles(options: {
  server: BenchServer;
  contestant: Contestant;
  shape: Shape;
  pending: number;
  boxMs: number;
  /** Prints where the server's time went, statement by statement. */
  profile?: boolean;
}): Promise<Cycles> {
  const { server, contestant, shape, pending, boxMs } = options;
  await server.template(contestant.template, (url) => contestant.prepare(url, server));
  const url = await server.clone(contestant.template);
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  try {
    if (options.profile) await startProfile(admin);
    const begin = performance.now();
    const cell = await contestant.open({ url, server, shape, pending });
    try {
      await settleDown(admin);
      const fill_seconds = round((performance.now() - begin) / 1000);
      if (options.profile) await admin.query("select pg_stat_statements_reset()");
      const cycles = await runBox({ admin, cell, trickle: shape.gate !== "none", pending, boxMs });
      if (options.profile) await printProfile(admin, cycles.settled);
      return { ...cycles, fill_seconds };
    } finally {
      await cell.close();
    }
  } finally {
    await admin.end();
    await server.drop(url);
  }
}

/** Tables as autovacuum would have them by then (it leaves empty ones alone), and nothing left to be written for others. */
async function settleDown(admin: pg.Client): Promise<void> {
  const { rows } = await admin.query(
    "select relid::regclass::text as name from pg_stat_user_tables where pg_relation_size(relid) > 0",
  );
  for (const { name } of rows) await admin.query(`vacuum analyze ${name}`);
  await admin.query("checkpoint");
}

async function runBox(options: {
  admin: pg.Client;
  cell: Awaited<ReturnType<Contestant["open"]>>;
  trickle: boolean;
  pending: number;
  boxMs: number;
}): Promise<Omit<Cycles, "fill_seconds">> {
  const { admin, cell, trickle, pending, boxMs } = options;
  const stop = new AbortController();
  const claims: number[] = [];
  let fed = 0;
  let settled = 0;
  let feeding: Promise<void> = Promise.resolve();
  const feed = (count: number) => {
    const range = { from: fed + 1, to: fed + count };
    fed += count;
    feeding = feeding.then(() => cell.feed(range));
    feeding.catch(() => stop.abort());
  };
  if (trickle) {
    feed(TRICKLE);
    await feeding;
  }
  const walBefore = await walBytes(admin);
  const begin = performance.now();
  const timer = setTimeout(() => stop.abort(), boxMs);
  await cell.run({
    signal: stop.signal,
    claimed: (ms, count) => {
      if (count > 0) claims.push(ms);
    },
    settled: (count) => {
      settled += count;
      if (trickle && fed - settled < TRICKLE / 2) feed(TRICKLE);
      if (!trickle && settled >= pending) stop.abort();
    },
  });
  // What was begun within the box is finished by now, so it counts, and so does the time it took.
  const seconds = (performance.now() - begin) / 1000;
  clearTimeout(timer);
  const walAfter = await walBytes(admin);
  await feeding;
  return {
    cycles_per_second: round(settled / seconds),
    claim_p50_ms: claims.length === 0 ? null : quantile(claims, 0.5),
    claim_p99_ms: claims.length === 0 ? null : quantile(claims, 0.99),
    wal_bytes_per_task: settled === 0 ? 0 : Math.round((walAfter - walBefore) / settled),
    settled,
  };
}

async function walBytes(admin: pg.Client): Promise<number> {
  const { rows } = await admin.query("select pg_current_wal_lsn() - '0/0'::pg_lsn as bytes");
  return Number(rows[0].bytes);
}
