/**
 * Every state a task can be in × everything that can happen to it: one table, typed so that a missing cell does not
 * compile. Pure data. The database decides (guards and functions in sql/functions/); this says what it must decide, and
 * test/database/state-machine.test.ts replays each cell against it.
 *
 * The states are what the database distinguishes: a task's status together with what its newest run still forbids.
 */

export const TASK_STATES = [
  /** Waits for a slot, for the first time or filed again by hand: its attempts are counted from here. */
  "pending",
  /** To run again, but the run that was stopped is not gone yet: it holds its slot. */
  "pending_stopping",
  /** Put back by the engine after a failure of the infrastructure: not before `runs.retry_at`. */
  "pending_retrying",
  /** Put back by the engine, and the pause is over (a usage limit asks for none): the next attempt counts on. */
  "pending_repeating",
  "running",
  "completed",
  /** Completed by hand or by its run's report, but the run is not gone yet. */
  "completed_stopping",
  /** Never inserted, or deleted. */
  "absent",
  /** Deleted, but its stopped run is not gone yet. */
  "absent_stopping",
] as const;
export type TaskState = (typeof TASK_STATES)[number];

export const TASK_EVENTS = [
  // The engine's. The settles are of the task's newest run: `settle_report` while its job is still ending, `settle_late`
  // is of one that was settled before.
  "claim",
  "claim_while_paused",
  "mark_launched",
  "settle_report",
  "settle_success",
  "settle_final_failure",
  "settle_infrastructure_failure",
  "settle_usage_limit",
  "settle_late",
  "settle_dead_epoch",
  "retry_due",
  // The operator's: plain SQL first, then the functions.
  "insert",
  "set_pending",
  "set_running",
  "set_completed",
  "delete",
  "edit_content",
  "move_ahead",
  "reschedule",
  "reschedule_with_note",
  "stop",
  "pause_addressee",
  "resume_addressee",
  "pause_engine",
  "resume_engine",
  // The agent's, with the token of the task's newest run.
  "load_brief",
  "announce",
  "report",
] as const;
export type TaskEvent = (typeof TASK_EVENTS)[number];

/** What the database answers to what it refuses: SQLSTATE and the sentence. */
export const REFUSALS = {
  /** To an edit that sets running. */
  engine_starts: { code: "MZ002", sentence: /^Only the engine starts runs: set status to pending/ },
  /** To an edit of what a run works from. */
  live_run: { code: "MZ002", sentence: /^Only a pending task without a live run can be changed, .* has the live run / },
  completed: { code: "MZ002", sentence: /^Only a pending task without a live run can be changed, .* is completed/ },
  fenced: { code: "MZ003", sentence: /^This run is over, or belongs to another pod: nothing was done\.$/ },
  dead_epoch: { code: "MZ001", sentence: /^Epoch \d+ is over: another engine has taken over\.$/ },
  no_task: { code: "MZ005", sentence: /^There is no task / },
  exists: { code: "23505", sentence: /tasks_pkey/ },
} as const satisfies Record<string, { code: string; sentence: RegExp }>;

/**
 * A state: that is what the task is in afterwards, and something was written (also where it is the same state).
 * `unchanged`: accepted, and not one column is another one. `refuse …`: an error, and nothing was written.
 */
export type Cell = TaskState | "unchanged" | `refuse ${keyof typeof REFUSALS}`;

/** These are the same in every state. */
const NEVER_TOUCH_A_TASK = {
  claim_while_paused: "unchanged",
  settle_late: "unchanged",
  settle_dead_epoch: "refuse dead_epoch",
  pause_addressee: "unchanged",
  resume_addressee: "unchanged",
  pause_engine: "unchanged",
  resume_engine: "unchanged",
} as const satisfies Partial<Record<TaskEvent, Cell>>;

/** The newest run is over: it can be settled only once, launched no more, and its token is worth nothing. */
const WITHOUT_LIVE_RUN = {
  mark_launched: "unchanged",
  settle_report: "unchanged",
  settle_success: "unchanged",
  settle_final_failure: "unchanged",
  settle_infrastructure_failure: "unchanged",
  settle_usage_limit: "unchanged",
  load_brief: "refuse fenced",
  announce: "refuse fenced",
  report: "refuse fenced",
} as const satisfies Partial<Record<TaskEvent, Cell>>;

/** A run that was told to stop: whatever it ends with, the task goes where the edit has put it. */
function withStoppingRun<State extends TaskState, Settled extends TaskState>(stopping: State, settled: Settled) {
  return {
    mark_launched: stopping,
    settle_report: "unchanged",
    settle_success: settled,
    settle_final_failure: settled,
    settle_infrastructure_failure: settled,
    settle_usage_limit: settled,
    load_brief: "refuse fenced",
    announce: "refuse fenced",
    report: "refuse fenced",
  } as const satisfies Partial<Record<TaskEvent, Cell>>;
}

/** No row: what plain SQL would change is not there, and the functions say so. */
const WITHOUT_ROW = {
  claim: "unchanged",
  retry_due: "unchanged",
  set_pending: "unchanged",
  set_running: "unchanged",
  set_completed: "unchanged",
  delete: "unchanged",
  edit_content: "unchanged",
  move_ahead: "unchanged",
  reschedule: "refuse no_task",
  reschedule_with_note: "refuse no_task",
  stop: "refuse no_task",
} as const satisfies Partial<Record<TaskEvent, Cell>>;

/** The state machine of tasks. */
export const TASK_TRANSITIONS: Readonly<Record<TaskState, Readonly<Record<TaskEvent, Cell>>>> = {
  pending: {
    ...NEVER_TOUCH_A_TASK,
    ...WITHOUT_LIVE_RUN,
    claim: "running",
    retry_due: "unchanged",
    insert: "refuse exists",
    set_pending: "unchanged",
    set_running: "refuse engine_starts",
    set_completed: "completed",
    delete: "absent",
    edit_content: "pending",
    move_ahead: "pending",
    reschedule: "unchanged",
    reschedule_with_note: "pending",
    stop: "completed",
  },
  pending_stopping: {
    ...NEVER_TOUCH_A_TASK,
    ...withStoppingRun("pending_stopping", "pending"),
    claim: "unchanged",
    retry_due: "unchanged",
    insert: "refuse exists",
    set_pending: "unchanged",
    set_running: "refuse engine_starts",
    set_completed: "completed_stopping",
    delete: "absent_stopping",
    edit_content: "refuse live_run",
    move_ahead: "refuse live_run",
    reschedule: "unchanged",
    reschedule_with_note: "refuse live_run",
    stop: "completed_stopping",
  },
  pending_retrying: {
    ...NEVER_TOUCH_A_TASK,
    ...WITHOUT_LIVE_RUN,
    claim: "unchanged",
    retry_due: "pending_repeating",
    insert: "refuse exists",
    set_pending: "unchanged",
    set_running: "refuse engine_starts",
    set_completed: "completed",
    delete: "absent",
    edit_content: "pending_retrying",
    move_ahead: "pending_retrying",
    reschedule: "pending",
    reschedule_with_note: "pending",
    stop: "completed",
  },
  pending_repeating: {
    ...NEVER_TOUCH_A_TASK,
    ...WITHOUT_LIVE_RUN,
    claim: "running",
    retry_due: "unchanged",
    insert: "refuse exists",
    set_pending: "unchanged",
    set_running: "refuse engine_starts",
    set_completed: "completed",
    delete: "absent",
    edit_content: "pending_repeating",
    move_ahead: "pending_repeating",
    reschedule: "pending",
    reschedule_with_note: "pending",
    stop: "completed",
  },
  running: {
    ...NEVER_TOUCH_A_TASK,
    claim: "unchanged",
    mark_launched: "running",
    settle_report: "completed_stopping",
    settle_success: "completed",
    settle_final_failure: "completed",
    settle_infrastructure_failure: "pending_retrying",
    settle_usage_limit: "pending_repeating",
    retry_due: "unchanged",
    insert: "refuse exists",
    set_pending: "pending_stopping",
    set_running: "unchanged",
    set_completed: "completed_stopping",
    delete: "absent_stopping",
    edit_content: "refuse live_run",
    move_ahead: "refuse live_run",
    reschedule: "pending_stopping",
    reschedule_with_note: "refuse live_run",
    stop: "completed_stopping",
    load_brief: "running",
    announce: "running",
    report: "running",
  },
  completed: {
    ...NEVER_TOUCH_A_TASK,
    ...WITHOUT_LIVE_RUN,
    claim: "unchanged",
    retry_due: "unchanged",
    insert: "refuse exists",
    set_pending: "pending",
    set_running: "refuse engine_starts",
    set_completed: "unchanged",
    delete: "absent",
    edit_content: "refuse completed",
    move_ahead: "refuse completed",
    reschedule: "pending",
    reschedule_with_note: "pending",
    stop: "unchanged",
  },
  completed_stopping: {
    ...NEVER_TOUCH_A_TASK,
    ...withStoppingRun("completed_stopping", "completed"),
    claim: "unchanged",
    retry_due: "unchanged",
    insert: "refuse exists",
    set_pending: "pending_stopping",
    set_running: "refuse engine_starts",
    set_completed: "unchanged",
    delete: "absent_stopping",
    edit_content: "refuse live_run",
    move_ahead: "refuse live_run",
    reschedule: "pending_stopping",
    reschedule_with_note: "refuse live_run",
    stop: "unchanged",
  },
  absent: { ...NEVER_TOUCH_A_TASK, ...WITHOUT_LIVE_RUN, ...WITHOUT_ROW, insert: "pending" },
  absent_stopping: {
    ...NEVER_TOUCH_A_TASK,
    ...withStoppingRun("absent_stopping", "absent"),
    ...WITHOUT_ROW,
    insert: "pending_stopping",
  },
};
