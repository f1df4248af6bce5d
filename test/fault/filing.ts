/**
 * Filing tasks as people and programs do, over a connection that breaks: plain INSERTs of one and of many
 * rows, `enqueue` with a key, transactions that are left open, rows with an older `created_at`. Notes what
 * was really filed and where it stood when, which is what the order is judged by.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import type { Random } from "./random.ts";

/** Where a task stood in the order of an addressee, for certain, from one time to another. Wall clock, ms. */
export interface Placement {
  addressee: string;
  /** `created_at` in microseconds since 1970. */
  key: number;
  from: number;
  until: number;
}

export interface Filed {
  id: string;
  placements: Placement[];
}

export interface Filings {
  readonly filed: Map<string, Filed>;
  /** Files about `count` tasks; returns how many, once all are certain. Repeats what broke. */
  file(count: number): Promise<number>;
  /** Sentences about promises that were not kept. */
  readonly broken: string[];
}

const SERIAL = Array.from({ length: 6 }, (_, index) => `serial-${index + 1}`);
export const WIDE = ["wide-1", "wide-2", "wide-3", "wide-4"];
const REPOSITORIES = [null, "file:///srv/git/one.git", "file:///srv/git/two.git"];

export function filings(people: pg.Pool, random: Random): Filings {
  const filed = new Map<string, Filed>();
  const broken: string[] = [];
  const note = (id: string, addressee: string, key: number): void => {
    filed.set(id, { id, placements: [{ addressee, key, from: Date.now(), until: Infinity }] });
  };

  const insert = async (addressee: string, count: number, options: { openMs: number; ageMs: number }) => {
    const rows = Array.from({ length: count }, () => randomUUID());
    const keys = await untilCertain(() =>
      inTransaction(people, async (client) => {
        await client.query(
          `insert into tasks (id, addressee, prompt, repo_url, created_at)
           select id, $2, 'do it', $3, myzel_now() - make_interval(secs => $4) from unnest($1::uuid[]) id
           on conflict (id) do nothing`,
          [rows, addressee, random.pick(REPOSITORIES), options.ageMs / 1000],
        );
        if (options.openMs > 0) await delay(options.openMs);
        const stored = await client.query(
          "select id, (extract(epoch from created_at) * 1000000)::bigint::text as key from tasks where id = any ($1)",
          [rows],
        );
        return stored.rows as { id: string; key: string }[];
      }),
    );
    for (const { id, key } of keys) note(id, addressee, Number(key));
    if (keys.length !== count) broken.push(`an INSERT of ${count} tasks made ${keys.length}`);
    return count;
  };

  const enqueue = async (addressee: string): Promise<number> => {
    const idempotencyKey = randomUUID();
    const once = () =>
      untilCertain(async () => {
        const { rows } = await people.query(
          `select id, (extract(epoch from created_at) * 1000000)::bigint::text as key
           from enqueue(addressee => $1, prompt => 'do it', idempotency_key => $2)`,
          [addressee, idempotencyKey],
        );
        return rows[0] as { id: string; key: string };
      });
    const first = await once();
    const second = random.chance(0.3) ? await once() : first;
    if (first.id !== second.id) broken.push(`one idempotency key made the tasks ${first.id} and ${second.id}`);
    note(first.id, addressee, Number(first.key));
    return 1;
  };

  const addressee = (): string => {
    const kind = random.weighted({ serial: 55, wide: 20, own: 15, lead: 5, limited: 5 });
    switch (kind) {
      case "serial":
        return random.pick(SERIAL);
      case "wide":
        return random.pick(WIDE);
      case "own":
        return `worker-${random.between(1, 1_000_000)}`;
      case "lead":
        return `lead-${random.between(1, 3)}`;
      case "limited":
        return `limited-${random.between(1, 2)}`;
    }
  };

  const file = async (count: number): Promise<number> => {
    let done = 0;
    while (done < count) {
      const manner = random.weighted({ plain: 40, many: 30, enqueue: 20, open: 5, older: 5 });
      if (manner === "enqueue") done += await enqueue(addressee());
      else {
        const rows = manner === "many" ? random.between(2, 15) : 1;
        const openMs = manner === "open" ? random.between(100, 1_500) : 0;
        const ageMs = manner === "older" || openMs > 0 ? random.between(0, 3_000) : 0;
        done += await insert(addressee(), rows, { openMs, ageMs });
      }
    }
    return done;
  };
  return { filed, file, broken };
}

/** Repeats a call that may be repeated until it is answered; errors other than of the connection come out. */
export async function untilCertain<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!isConnectionError(error)) throw error;
      await delay(50);
    }
  }
}

/** The answer was lost with the connection: what was asked for may have been done or not. */
export function isConnectionError(error: unknown): boolean {
  const { code = "", message = "" } = error as { code?: string; message?: string };
  return (
    /^(ECONN|EPIPE|08|57P0|53300)/.test(code) ||
    /connection terminated|connection error|timeout|not queryable|client has encountered/i.test(message)
  );
}

async function inTransaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    const result = await work(client);
    await client.query("commit");
    client.release();
    return result;
  } catch (error) {
    client.release(true);
    throw error;
  }
}
