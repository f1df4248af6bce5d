/** The invariants that the database alone can show at any moment, and what it says of tasks that wait. */
import type pg from "pg";

/** Everything a pending task may wait for: the closed list. */
const REASONS = [
  "stopping_run",
  "no_engine",
  "head",
  "engine_paused",
  "addressee_paused",
  "human",
  "slot",
  "retry",
  "project_paused",
  "project_cost",
  "project_limit",
  "epic_limit",
  "paths",
  "credential",
  "cost_limit",
  "global_limit",
  "starting",
];

/** Made beside the schema: what finished runs looked like when they were first seen finished. */
export async function prepareChecks(admin: pg.Pool): Promise<void> {
  await admin.query("create schema fault_suite");
  await admin.query("create table fault_suite.finished_runs (run_id uuid primary key, digest text not null)");
}

/** Cheap enough for every step. */
export async function databaseViolations(admin: pg.Pool): Promise<string[]> {
  const doubled = await admin.query(
    `select 'slot ' || slot || ' of ' || addressee as what from runs where finished_at is null
     group by addressee, slot having count(*) > 1
     union all
     select 'task ' || task_id from runs where finished_at is null group by task_id having count(*) > 1`,
  );
  const reasons = await admin.query(
    `select t.id, w.reason
     from (select id from tasks where status = 'pending' order by random() limit 10) t,
       lateral why_not_running(t.id) w
     where w.reason <> all ($1) and w.reason not in ('running', 'completed')`,
    [REASONS],
  );
  return [
    ...doubled.rows.map(({ what }) => `two live runs: ${what}`),
    ...reasons.rows.map(({ id, reason }) => `task ${id} waits for "${reason}", which is not on the list`),
    ...(await changedAfterTheEnd(admin)),
  ];
}

/** A finished run stays as it is; only a hand edit may clear its retry_at. */
async function changedAfterTheEnd(admin: pg.Pool): Promise<string[]> {
  const digest = "md5((to_jsonb(r) - 'retry_at')::text)";
  const changed = await admin.query(
    `select r.id from fault_suite.finished_runs f left join runs r on r.id = f.run_id
     where f.digest is distinct from ${digest}`,
  );
  await admin.query(
    `insert into fault_suite.finished_runs
     select r.id, ${digest} from runs r
     where r.finished_at is not null and not exists (select from fault_suite.finished_runs f where f.run_id = r.id)`,
  );
  return changed.rows.map(({ id }) => `run ${id} changed after its end`);
}

/** Heads that nothing keeps from starting: with a leader at work, none may be among them for longer than a look. */
export async function startingHeads(admin: pg.Pool): Promise<Set<string>> {
  const { rows } = await admin.query(
    `select head.id
     from (
       select distinct on (addressee) id from tasks where status = 'pending' order by addressee, created_at, id
     ) head, lateral why_not_running(head.id) w
     where w.reason = 'starting'`,
  );
  return new Set(rows.map(({ id }) => id as string));
}
