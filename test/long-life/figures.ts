/** What a database has become: sizes, live and dead rows of every table of Myzel and of each of its indexes. */
import pg from "pg";
import type { DayDatabase } from "./server.ts";

export interface TableFigures {
  table: string;
  live_rows: number;
  /** Exact: the whole table is read. */
  dead_rows: number;
  /** So many make autovacuum begin. */
  vacuum_threshold: number;
  heap_bytes: number;
  toast_bytes: number;
  index_bytes: number;
  /** By name. */
  indexes: Record<string, number>;
}

export async function tableFigures(day: DayDatabase): Promise<Map<string, TableFigures>> {
  const admin = new pg.Client({ connectionString: day.adminUrl });
  await admin.connect();
  try {
    const { rows } = await admin.query<TableFigures>(
      `select c.relname as table, t.tuple_count::int as live_rows, t.dead_tuple_count::int as dead_rows,
         ceil(coalesce(threshold.value, current_setting('autovacuum_vacuum_threshold'))::float
           + coalesce(scale.value, current_setting('autovacuum_vacuum_scale_factor'))::float * c.reltuples)::int as vacuum_threshold,
         pg_relation_size(c.oid)::int as heap_bytes,
         coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0)::int as toast_bytes,
         pg_indexes_size(c.oid)::int as index_bytes,
         coalesce((select jsonb_object_agg(i.relname, pg_relation_size(i.oid))
           from pg_index x join pg_class i on i.oid = x.indexrelid where x.indrelid = c.oid), '{}') as indexes
       from pg_class c
       join pg_namespace n on n.oid = c.relnamespace
       cross join lateral pgstattuple(c.oid::regclass) t
       left join lateral (
         select split_part(o, '=', 2) as value from unnest(c.reloptions) o where o like 'autovacuum_vacuum_threshold=%'
       ) threshold on true
       left join lateral (
         select split_part(o, '=', 2) as value from unnest(c.reloptions) o where o like 'autovacuum_vacuum_scale_factor=%'
       ) scale on true
       where n.nspname = 'public' and c.relkind = 'r' and c.relname not like 'kysely%' and c.relname <> 'schema_functions'
       order by c.relname`,
    );
    return new Map(rows.map((row) => [row.table, row]));
  } finally {
    await admin.end();
  }
}

/** Start against end, as Markdown. */
export function figuresTable(start: ReadonlyMap<string, TableFigures>, end: ReadonlyMap<string, TableFigures>): string {
  const kB = (bytes: number) => Math.round(bytes / 1000).toLocaleString("en-US");
  const pair = (before: number, now: number) => `${before.toLocaleString("en-US")} → ${now.toLocaleString("en-US")}`;
  const sizes = (before: number, now: number) => `${kB(before)} → ${kB(now)}`;
  const rows = [...end.values()].flatMap((now) => {
    const before = start.get(now.table);
    if (before === undefined) return [];
    const bytes = [before, now].map((table) => table.heap_bytes + table.toast_bytes);
    const perRow = Math.round(((bytes[1] ?? 0) + now.index_bytes) / Math.max(1, now.live_rows));
    return [
      `| ${now.table} | ${pair(before.live_rows, now.live_rows)} | ${pair(before.dead_rows, now.dead_rows)} | ${sizes(bytes[0] ?? 0, bytes[1] ?? 0)} | ${perRow} |`,
      ...Object.entries(now.indexes).map(
        ([name, size]) => `| – ${name} | | | ${sizes(before.indexes[name] ?? 0, size)} | |`,
      ),
    ];
  });
  return [
    "| table or index | live rows | dead rows | kB | bytes a live row, with indexes |",
    "| --- | --- | --- | --- | --- |",
    ...rows,
  ].join("\n");
}

/** The value below which this share of them lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
