/**
 * What the triggers cost whoever files tasks: single rows by 8 clients and one COPY, into `tasks` and into a
 * table of the same columns, constraints and indexes without triggers, turn by turn. No engine runs.
 */
import pg from "pg";
import { prepareMyzel } from "../contestants/myzel-database.ts";
import { median, round } from "../figures.ts";
import { asAdmin } from "../server.ts";
import type { BenchServer } from "../server.ts";

const CLIENTS = 8;
const ADDRESSEES = 1_000;
const COPIED_ROWS = 100_000;
const TURNS = 5;

/** Rows a second, one after the other, so that what else the machine does hits all four alike. */
interface Turn {
  single: number;
  singlePlain: number;
  copy: number;
  copyPlain: number;
}

/** Medians of the turns; a share is that of a turn. */
export interface Inserts {
  single_rows_per_second: number;
  single_rows_per_second_plain: number;
  single_share: number;
  copy_rows_per_second: number;
  copy_rows_per_second_plain: number;
  copy_share: number;
}

export async function measureInserts(options: { server: BenchServer; boxMs: number }): Promise<Inserts> {
  const { server, boxMs } = options;
  await server.template("myzel", (url) => prepareMyzel(url, server));
  const url = await server.clone("myzel");
  try {
    await asAdmin(url, (admin) => admin.query("create table plain_tasks (like tasks including all)"));
    const turns: Turn[] = [];
    for (let turn = 0; turn < TURNS; turn++) {
      turns.push({
        single: await singleRows(url, "tasks", boxMs / TURNS),
        singlePlain: await singleRows(url, "plain_tasks", boxMs / TURNS),
        copy: await copyRows(url, "tasks"),
        copyPlain: await copyRows(url, "plain_tasks"),
      });
    }
    const middle = (figure: (turn: Turn) => number) => median(turns.map((turn) => round(figure(turn)))) ?? 0;
    return {
      single_rows_per_second: middle((turn) => turn.single),
      single_rows_per_second_plain: middle((turn) => turn.singlePlain),
      single_share: middle((turn) => turn.single / turn.singlePlain),
      copy_rows_per_second: middle((turn) => turn.copy),
      copy_rows_per_second_plain: middle((turn) => turn.copyPlain),
      copy_share: middle((turn) => turn.copy / turn.copyPlain),
    };
  } finally {
    await server.drop(url);
  }
}

/** Rows a second, each a transaction of its own. */
async function singleRows(url: string, table: string, boxMs: number): Promise<number> {
  const begin = performance.now();
  const counts = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, index) => {
      let count = 0;
      await asAdmin(url, async (client) => {
        for (; performance.now() - begin < boxMs; count++) {
          const addressee = `key-${(count * CLIENTS + index) % ADDRESSEES}`;
          await client.query({
            name: "insert",
            text: `insert into ${table} (addressee, prompt) values ($1, 'p')`,
            values: [addressee],
          });
        }
      });
      return count;
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0) / ((performance.now() - begin) / 1000);
}

/** Rows a second of one COPY from a program that the server runs, so that no client slows it. */
async function copyRows(url: string, table: string): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const rows = `awk 'BEGIN { for (i = 0; i < ${COPIED_ROWS}; i++) print "key-" i % ${ADDRESSEES} "\\tp" }'`;
    const begin = performance.now();
    await client.query(`copy ${table} (addressee, prompt) from program ${pg.escapeLiteral(rows)}`);
    return COPIED_ROWS / ((performance.now() - begin) / 1000);
  } finally {
    await client.end();
  }
}
