/**
 * Every cell of the table in engine/domain/task-states.ts, replayed against the database: the state that comes out or
 * the refusal, and that nothing was written but what belongs to it. Each event is played with the login that plays it
 * in life: the engine's, the operator's, the pod's.
 */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import pg from "pg";
import { REFUSALS, TASK_EVENTS, TASK_STATES, TASK_TRANSITIONS } from "../../engine/domain/task-states.ts";
import type { TaskEvent, TaskState } from "../../engine/domain/task-states.ts";
import { schemaClient } from "../support/schema-client.ts";
import type { SchemaClient } from "../support/schema-client.ts";

/** The task of every cell; a Green's, so that its success may make children. */
const TASK = "00000000-0000-4000-8000-000000000001";
const ADDRESSEE = "project-mgr-cell";
const POD = "pod-1";

const SUCCESS = { action: "complete", success: true, summary: "Did it.", tasks: [{ prompt: "child" }] };
const FINAL_FAILURE = { action: "complete", success: false, failure_code: "agent_error", error: "Gave up." };
const INFRASTRUCTURE = { action: "requeue", success: false, failure_code: "lost", retry_after_seconds: 3600 };
const USAGE_LIMIT = {
  action: "requeue",
  success: false,
  failure_code: "usage_limit",
  retry_after_seconds: 0,
  blocked_until: "2199-01-01T00:00:00Z",
};

const SETTLED_TASK = ["task.status", "task.started_at", "task.completed_at", "task.result", "task.worker_pod"];
const SETTLED_RUN = ["run.finished_at", "run.success", "run.failure_code", "run.error", "run.retry_at"];
const STOPPED_RUN = ["run.stop_requested_at", "run.stop_reason"];

/** All that an event may write, in whatever state: columns of the task and of its runs, rows added (+) or gone (-). */
const MAY_WRITE: Record<TaskEvent, readonly string[]> = {
  claim: ["task.status", "task.started_at", "+run"],
  claim_while_paused: [],
  mark_launched: ["task.worker_pod", "run.launched_at", "run.pod_name"],
  settle_report: [...SETTLED_TASK, ...STOPPED_RUN, "run.launched_at", "run.settled_at", "+child", "run.epic"],
  settle_success: [...SETTLED_TASK, ...SETTLED_RUN, "+child", "run.epic"],
  settle_final_failure: [...SETTLED_TASK, ...SETTLED_RUN],
  settle_infrastructure_failure: [...SETTLED_TASK, ...SETTLED_RUN],
  settle_usage_limit: [...SETTLED_TASK, ...SETTLED_RUN, "credential.blocked_until"],
  settle_late: [],
  settle_dead_epoch: [],
  retry_due: ["run.retry_at"],
  insert: ["+task"],
  set_pending: [...SETTLED_TASK, ...STOPPED_RUN, "run.retry_at"],
  set_running: [],
  set_completed: [...SETTLED_TASK, ...STOPPED_RUN],
  delete: ["-task", ...STOPPED_RUN],
  edit_content: ["task.prompt", "task.branch"],
  move_ahead: ["task.created_at"],
  reschedule: [...SETTLED_TASK, ...STOPPED_RUN, "run.retry_at"],
  reschedule_with_note: [...SETTLED_TASK, "task.prompt", "run.retry_at"],
  stop: [...SETTLED_TASK, ...STOPPED_RUN],
  pause_addressee: [],
  resume_addressee: [],
  pause_engine: [],
  resume_engine: [],
  load_brief: ["run.bound_to"],
  announce: ["run.announced"],
  report: ["run.report"],
};

describe("the state machine of tasks", () => {
  let db: SchemaClient;
  let operator: pg.Client;
  let pod: pg.Client;
  before(async () => {
    db = await schemaClient();
    operator = new pg.Client({ connectionString: db.test.url("operator") });
    pod = new pg.Client({ connectionString: db.test.url("pod") });
    await Promise.all([operator.connect(), pod.connect()]);
    // Who is woken by the end of a task is shown in wake-ups.test.ts: here agents of this profile only create tasks.
    await db.pool.query("update profiles set role = 'red' where name = 'green'");
    // Somebody else's, whom no event may touch: one task runs, one waits behind it.
    await db.insert({ addressee: "bystander" });
    await db.insert({ addressee: "bystander" });
    await db.claimAll();
  });
  after(async () => {
    await Promise.all([operator.end(), pod.end()]);
    await db.close();
  });
  beforeEach(() =>
    db.pool.query(`
      delete from tasks where addressee <> 'bystander';
      delete from runs where addressee <> 'bystander';
      delete from task_events;
      delete from addressees;
      update credentials set blocked_until = null, blocked_reason = null;
      update engine_state set paused = false`),
  );

  const run = async (order: "newest" | "oldest") => {
    const direction = order === "newest" ? "desc" : "asc";
    const { rows } = await db.pool.query(
      `select id from runs where task_id = $1 order by attempt ${direction} limit 1`,
      [TASK],
    );
    return String(rows[0]?.id);
  };
  const settle = async (outcome: object, which: "newest" | "oldest" = "newest", epoch = db.epoch) =>
    db.engine.pool.query("select settle_run($1, $2, $3)", [epoch, await run(which), outcome]);
  const edit = (set: string) => operator.query(`update tasks set ${set} where id = $1`, [TASK]);
  const report = async (final: boolean) => {
    const runId = await run("newest");
    await pod.query("select write_report($1, $2, $3, $4, $5)", [runId, db.token(runId), POD, { success: true }, final]);
  };

  const play: Record<TaskEvent, () => Promise<unknown>> = {
    claim: () => db.claimAll(),
    claim_while_paused: async () => {
      await operator.query("select pause($1)", [ADDRESSEE]);
      await db.claimAll();
      await operator.query("select resume($1), pause()", [ADDRESSEE]);
      await db.claimAll();
    },
    mark_launched: async () =>
      db.engine.pool.query("select mark_launched($1, array[$2::uuid], array[$3])", [
        db.epoch,
        await run("newest"),
        POD,
      ]),
    settle_report: () => settle({ ...SUCCESS, job_ended: false }),
    settle_success: () => settle(SUCCESS),
    settle_final_failure: () => settle(FINAL_FAILURE),
    settle_infrastructure_failure: () => settle(INFRASTRUCTURE),
    settle_usage_limit: () => settle(USAGE_LIMIT),
    settle_late: () => settle(SUCCESS, "oldest"),
    settle_dead_epoch: () => settle(SUCCESS, "newest", db.epoch - 1),
    // stands in for an hour of waiting
    retry_due: () =>
      db.pool.query("update runs set retry_at = myzel_now() where task_id = $1 and retry_at > myzel_now()", [TASK]),
    insert: () =>
      operator.query("insert into tasks (id, addressee, prompt) values ($1, $2, 'do it')", [TASK, ADDRESSEE]),
    set_pending: () => edit("status = 'pending'"),
    set_running: () => edit("status = 'running'"),
    set_completed: () => edit("status = 'completed'"),
    delete: () => operator.query("delete from tasks where id = $1", [TASK]),
    edit_content: () => edit("prompt = 'something else', branch = 'elsewhere'"),
    move_ahead: () => edit("created_at = '2000-01-01'"),
    reschedule: () => operator.query("select reschedule($1)", [TASK]),
    reschedule_with_note: () => operator.query("select reschedule($1, 'be quick')", [TASK]),
    stop: () => operator.query("select stop($1, 'enough')", [TASK]),
    pause_addressee: () => operator.query("select pause($1)", [ADDRESSEE]),
    resume_addressee: () => operator.query("select resume($1)", [ADDRESSEE]),
    pause_engine: () => operator.query("select pause()"),
    resume_engine: () => operator.query("select resume()"),
    load_brief: async () => {
      const runId = await run("newest");
      await pod.query("select load_brief($1, $2, $3)", [runId, db.token(runId), POD]);
    },
    announce: () => report(false),
    report: () => report(true),
  };

  /** The way to each state, from nothing. Each has one attempt behind it that ended, for late settles. */
  const TO_PENDING: readonly TaskEvent[] = ["insert", "claim", "settle_final_failure", "set_pending"];
  const WAYS: Record<TaskState, readonly TaskEvent[]> = {
    pending: TO_PENDING,
    pending_stopping: [...TO_PENDING, "claim", "load_brief", "set_pending"],
    pending_retrying: [...TO_PENDING, "claim", "load_brief", "settle_infrastructure_failure"],
    pending_repeating: [...TO_PENDING, "claim", "load_brief", "settle_infrastructure_failure", "retry_due"],
    running: [...TO_PENDING, "claim"],
    completed: [...TO_PENDING, "claim", "load_brief", "settle_final_failure"],
    completed_stopping: [...TO_PENDING, "claim", "load_brief", "set_completed"],
    absent: [...TO_PENDING, "claim", "load_brief", "settle_final_failure", "delete"],
    absent_stopping: [...TO_PENDING, "claim", "load_brief", "delete"],
  };

  for (const state of TASK_STATES) {
    for (const event of TASK_EVENTS) {
      const cell = TASK_TRANSITIONS[state][event];
      it(`${state} × ${event} → ${cell}`, async () => {
        for (const step of WAYS[state]) await play[step]();
        // Who reports has loaded its brief.
        if (state === "running" && (event === "announce" || event === "report")) await play.load_brief();
        assert.equal(await stateOf(db), state, "the way to the state");
        const earlier = await snapshot(db);
        const error = await play[event]().then(
          () => null,
          (refused: Error & { code: string }) => refused,
        );
        const written = difference(earlier, await snapshot(db));

        const [, refusal] = cell.split("refuse ") as [string, (keyof typeof REFUSALS)?];
        assert.equal(error?.code, refusal && REFUSALS[refusal].code, error?.message);
        if (refusal !== undefined) assert.match(error?.message ?? "", REFUSALS[refusal].sentence);

        const isChange = refusal === undefined && cell !== "unchanged";
        assert.equal(await stateOf(db), isChange ? cell : state);
        if (isChange) assert.notDeepEqual(written, []);
        else assert.deepEqual(written, []);
        assertWritten(event, written);
      });
    }
  }
});

/** Nothing but what the event may write, and an audit row for each change of the task that is not the engine's note. */
function assertWritten(event: TaskEvent, written: readonly string[]): void {
  const changes = written.filter((change) => change !== "+audit");
  assert.deepEqual(
    changes.filter((change) => !MAY_WRITE[event].includes(change)),
    [],
  );
  const audited = changes.some((change) => /^(task\.(?!worker_pod$)|-task$)/.test(change));
  assert.equal(written.length - changes.length, audited ? 1 : 0, `audit rows of ${changes.join(", ")}`);
}

async function stateOf(db: SchemaClient): Promise<TaskState> {
  const { rows } = await db.pool.query(
    `select (select status from tasks where id = $1) as status,
       last.id is not null and last.finished_at is null as live, last.stop_requested_at is not null as stopping,
       last.retry_at is not null as repeating, last.retry_at > myzel_now() as retrying
     from (select) nothing left join (
       select * from runs where task_id = $1 order by attempt desc limit 1) last on true`,
    [TASK],
  );
  const { status, live, stopping, repeating, retrying } = rows[0];
  assert.equal(live && !stopping, status === "running", "a task is running exactly with a run that nobody stopped");
  if (status === "running") return status;
  if (status === "pending" && repeating) return retrying ? "pending_retrying" : "pending_repeating";
  return `${(status ?? "absent") as "pending" | "completed" | "absent"}${live ? "_stopping" : ""}`;
}

type Row = Record<string, unknown> & { kind: string };
type Snapshot = Map<string, Row>;

/** Every row that an event could touch, whoever it belongs to. */
async function snapshot(db: SchemaClient): Promise<Snapshot> {
  const { rows } = await db.pool.query<{ key: string; kind: string; row: Record<string, unknown> }>(
    `select 'task ' || id as key,
       case when id = $1 then 'task' when parent_id = $1 then 'child' else 'other task' end as kind, to_jsonb(t) as row
     from tasks t
     union all
     select 'run ' || id, case task_id when $1 then 'run' else 'other run' end, to_jsonb(r) from runs r
     union all
     select 'credential ' || name, 'credential', to_jsonb(c) from credentials c
     union all
     select 'audit ' || id, case task_id when $1 then 'audit' else 'other audit' end, to_jsonb(e) from task_events e`,
    [TASK],
  );
  return new Map(rows.map(({ key, kind, row }) => [key, { ...row, kind }]));
}

/** The kinds of rows that came (+) and went (-), and the columns that differ, each once, in order. */
function difference(earlier: Snapshot, later: Snapshot): string[] {
  const found: string[] = [];
  for (const [key, row] of earlier) {
    const changed = later.get(key);
    if (changed === undefined) found.push(`-${row.kind}`);
    else {
      for (const column of Object.keys(row)) {
        if (JSON.stringify(row[column]) !== JSON.stringify(changed[column])) found.push(`${row.kind}.${column}`);
      }
    }
  }
  for (const [key, row] of later) if (!earlier.has(key)) found.push(`+${row.kind}`);
  return found.toSorted();
}
