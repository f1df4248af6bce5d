/** Where the server's time goes: pg_stat_statements over one cell, statements inside of functions included. */
import type pg from "pg";

const SHOWN = 25;

/** For sessions that begin after it. */
export async function startProfile(admin: pg.Client): Promise<void> {
  await admin.query("create extension if not exists pg_stat_statements");
  const { rows } = await admin.query("select current_database() as name");
  await admin.query(`alter database ${rows[0].name} set pg_stat_statements.track = 'all'`);
}

/** Prints the statements that took most of the time since the last reset, in µs a settled task. */
export async function printProfile(admin: pg.Client, settled: number): Promise<void> {
  const { rows } = await admin.query(
    `select calls, total_exec_time, mean_exec_time, rows, shared_blks_hit + shared_blks_read as blocks, wal_bytes, query
     from pg_stat_statements
     where dbid = (select oid from pg_database where datname = current_database())
     order by total_exec_time desc
     limit ${SHOWN}`,
  );
  console.log("   µs/task    calls   ms/call   blocks/call  WAL/call  statement (outer ones hold the inner ones)");
  for (const row of rows) {
    const perTask = ((row.total_exec_time * 1000) / Math.max(1, settled)).toFixed(0);
    const text = String(row.query).replaceAll(/\s+/g, " ").slice(0, 110);
    console.log(
      `${perTask.padStart(10)} ${String(row.calls).padStart(8)} ${row.mean_exec_time.toFixed(3).padStart(9)} ` +
        `${(row.blocks / row.calls).toFixed(0).padStart(13)} ${(row.wal_bytes / row.calls).toFixed(0).padStart(9)}  ${text}`,
    );
  }
}
