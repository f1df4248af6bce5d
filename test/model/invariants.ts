/**
 * What must be true of the tables at every moment, as queries that find what breaks it. Independent of the model, of
 * lanes and of the clock, so that any test may ask at any time.
 */
import assert from "node:assert/strict";
import type pg from "pg";

const INVARIANTS: Readonly<Record<string, string>> = {
  "at most one live run a slot": `
    select addressee, slot from runs where finished_at is null group by 1, 2 having count(*) > 1`,
  "at most one live run a task": `
    select task_id from runs where finished_at is null group by 1 having count(*) > 1`,
  "a task is running exactly with a live run that nobody stopped": `
    select coalesce(t.id, r.task_id)
    from (select id from tasks where status = 'running') t
    full join (select task_id from runs where finished_at is null and stop_requested_at is null) r on r.task_id = t.id
    where t.id is null or r.task_id is null`,
  "a completed task has a result, no other has": `
    select id from tasks where (status = 'completed') <> (result is not null)`,
  "attempts of a task are numbered without a gap": `
    select task_id from runs group by 1 having min(attempt) <> 1 or max(attempt) <> count(*)`,
  "a run settles its task at most once": `
    select run_id from task_events where event in ('completed', 'requeued') group by 1 having count(*) > 1`,
  "a task starts once a run": `
    select run_id from task_events where event = 'started' group by 1 having count(*) > 1`,
  "a run is of a known epoch": `
    select id from runs where epoch > (select epoch from engine_state)`,
};

/** @throws AssertionError naming the invariant and what breaks it */
export async function assertInvariants(client: pg.Client | pg.Pool): Promise<void> {
  const { rows } = await client.query({ name: "invariants", text: EVERY_VIOLATION });
  assert.deepEqual(rows, []);
}

const EVERY_VIOLATION = Object.entries(INVARIANTS)
  .map(([name, query]) => `select '${name}' as invariant, to_jsonb(broken) as row from (${query}) broken`)
  .join(" union all ");
