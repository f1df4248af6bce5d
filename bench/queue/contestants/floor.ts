/**
 * The floor: what the server's own writing bounds. Takes ids it knows beforehand and updates their rows by
 * primary key in batches as large as Myzel's, once as a claim does and once as a settle does, each batch
 * one transaction. The table is `tasks` with its indexes and without its triggers.
 */
import pg from "pg";
import type { Box, Contestant } from "../contestant.ts";
import { asAdmin } from "../server.ts";
import { BATCH, prepareMyzel } from "./myzel-database.ts";

export const floor: Contestant = {
  name: "floor",
  template: "floor",
  prepare: async (url, server) => {
    await prepareMyzel(url, server);
    await asAdmin(url, (admin) => admin.query("create table plain_tasks (like tasks including all)"));
  },
  open: async ({ url, shape, pending }) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(
      `insert into plain_tasks (addressee, prompt) select ${shape.addressee}, 'p' from generate_series(1, ${pending}) i`,
    );
    const { rows } = await client.query<{ id: string }>("select id from plain_tasks order by created_at, id");
    const ids = rows.map((row) => row.id);
    return {
      feed: async () => {},
      run: (box) => update(client, ids, box),
      close: () => client.end(),
    };
  },
};

async function update(client: pg.Client, ids: readonly string[], box: Box): Promise<void> {
  for (let next = 0; next < ids.length && !box.signal.aborted; next += BATCH) {
    const batch = ids.slice(next, next + BATCH);
    const begin = performance.now();
    await client.query({
      name: "claim",
      text: "update plain_tasks set status = 'running', started_at = now() where id = any ($1::uuid[])",
      values: [batch],
    });
    box.claimed(performance.now() - begin, batch.length);
    await client.query({
      name: "settle",
      text: `update plain_tasks set status = 'completed', completed_at = now(), result = '{"success": true}'
             where id = any ($1::uuid[])`,
      values: [batch],
    });
    box.settled(batch.length);
  }
}
