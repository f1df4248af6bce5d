/**
 * The contract between the engine and what runs inside a run.
 *
 * The engine may import this file; this file, like everything in worker-image/, imports nothing of the
 * engine. Kubernetes and the process launcher run the same three phases with the same environment,
 * files and exit codes.
 */

/** The three phases, in the order in which they run. */
export const PHASES = ["checkout", "agent", "publish"] as const;
export type Phase = (typeof PHASES)[number];

/** Names below the workspace (`MYZEL_WORKSPACE`), the one directory that all phases share. */
export const WORKSPACE = {
  /** The agent's clone, or an empty directory where the task names no repository. */
  repo: "repo",
  /** HOME of the agent phase. */
  home: "home",
  /** TMPDIR of the agent phase. */
  tmp: "tmp",
  /** The brief without secrets: written by checkout, read by agent. */
  brief: "brief.json",
  /** Where this attempt starts from: written by checkout. A hint only, for publish does not trust it. */
  checkout: "checkout.json",
  /** Outcome of the agent: written by agent, read (and distrusted) by publish. */
  outcome: "outcome.json",
  /** The agent's stream, JSON lines, masked and bounded. */
  stream: "stream.jsonl",
  /** What the agent wants of the engine, one JSON file each, `0001.json` … */
  outbox: "outbox",
  /** Results that are too long for the prompt, a file each: written by checkout, for the agent to read. */
  results: "results",
} as const;

/** Exit codes of the phases. What is not listed is a crash of the phase itself. */
export const EXIT = {
  ok: 0,
  /** Bad invocation: a variable of the contract is missing. */
  usage: 2,
  /** checkout: the repository or branch cannot be had; the report is stored already. */
  checkoutFailed: 20,
  /** checkout, publish: the token is not accepted: the run has ended or is bound elsewhere. Nothing was done. */
  fenced: 21,
  /** checkout: the database cannot be reached. */
  databaseUnreachable: 22,
  /** agent: something would bill the API instead of the subscription. */
  costGuard: 30,
  /** agent: no Claude credential was given. */
  noCredential: 31,
  /** publish: the database cannot be reached; the report lies in `MYZEL_SPOOL_DIR`/report.json. */
  reportSpooled: 40,
} as const;

/** `runs.failure_code` and `result.code`. */
export type FailureCode =
  | "launch_failed"
  | "image_pull_failed"
  | "evicted"
  | "node_lost"
  | "job_deleted"
  | "lost"
  | "api_overloaded"
  | "usage_limit"
  | "agent_error"
  | "max_turns"
  | "cost_limit"
  | "deadline_exceeded"
  | "oom_killed"
  | "hung"
  | "auth_failed"
  | "cost_guard"
  | "pod_refused"
  | "checkout_failed"
  | "checks_failed"
  | "push_rejected"
  | "secret_leaked"
  | "no_report"
  | "stopped";

/** How an agent is run: the part of a profile that the phases need. Durations are whole seconds. */
export interface BriefProfile {
  name: string;
  role: "green" | "red";
  model: string | null;
  effort: "low" | "medium" | "high" | "xhigh" | "max" | null;
  /** Appended to the CLI's own system prompt. */
  system_prompt: string | null;
  max_turns: number | null;
  /** At list price; checked by the CLI after each request. */
  max_cost_usd: number | null;
  /** Limit of the agent phase, check command included. */
  time_limit_seconds: number;
  /** Without any output for so long after the start, the agent is `hung`. */
  first_output_seconds: number;
  /** Without any output for so long, the agent is `hung`. */
  silence_seconds: number;
  /** Run by /bin/sh in the work tree before the agent, without any credential. */
  setup_command: string | null;
  /** The same at the end of the agent phase. */
  check_command: string | null;
  /** How often a failing check goes back to the agent. */
  check_tries: number;
  /** Push although the checks fail (the result says `checks_failed` all the same). */
  push_failing_work: boolean;
  /** The task's branch may be the default branch. */
  may_push_default_branch: boolean;
  /** The repository's own commit hooks take effect on the agent's commits. */
  run_commit_hooks: boolean;
  /** The MCP tool `create_task` is offered; to a Green of an epic `finish_epic` and `ask_human` as well. */
  may_create_tasks: boolean;
  /** Settings, hooks, skills and MCP servers that the repository brings take effect. */
  trust_repository: boolean;
  /** Plain variables for the agent, never secrets. */
  environment: Record<string, string>;
  /** Further MCP servers, in the form of the CLI's `mcpServers`. */
  mcp_servers: Record<string, unknown>;
  /** Texts of `SKILL.md`, by name. */
  skills: Record<string, string>;
}

/** The epic that a task belongs to. */
export interface BriefEpic {
  id: string;
  title: string;
  /** Where the plan is kept: a section of `.ai/plan.md` on this branch. */
  plan_branch: string;
  /** Who answers questions and gives approvals. */
  approver: string;
}

/** A task of kind `merge`. Its Red alone may push the target branch. */
export interface BriefMerge {
  /** The branch whose work is to be merged. */
  source: string;
  /** Where to; null: the remote's default branch. */
  target: string | null;
  policy: "pull_request" | "approval" | "auto";
  /** A task whose run changed the source after a person had allowed the merge; null: none. */
  changed_since_approval: string | null;
}

/** How to talk to the repository's host. */
export interface BriefHost {
  /** Null: not known to have pull requests. */
  api: "github" | "gitlab" | null;
  /** Null: the public one. */
  api_url: string | null;
}

/** The attempt that left the work which this one goes on from. */
export interface BriefContinues {
  run_id: string;
  /** Where its commits begin; of a planner the commit that its plan began from. */
  base_sha: string | null;
  /** The last commit of its bundle; null: it left no commits. */
  head_sha: string | null;
  /** Null: its session could not be kept. */
  session_id: string | null;
  /** How it ended. */
  code: FailureCode | null;
  error: string | null;
}

/** What `load_brief` returns. */
export interface Brief {
  run_id: string;
  task_id: string;
  attempt: number;
  addressee: string;
  prompt: string;
  repo_url: string | null;
  /** The branch to work on; null only where there is no repository. */
  branch: string | null;
  /** Where a new branch starts; null: the remote's default branch. */
  base_branch: string | null;
  /** The project's default branch; null: the remote's. */
  default_branch: string | null;
  created_by: string | null;
  parent_id: string | null;
  /** What the task is, in a word: `implement`, `review`, `merge`, `wake_up` …; null: not said. */
  kind: string | null;
  profile: BriefProfile;
  epic: BriefEpic | null;
  /** Of a task of kind `merge`, else null. */
  merge: BriefMerge | null;
  /** publish opens a pull request for the branch. */
  pull_request: boolean;
  host: BriefHost;
  /** Long results that the prompt names, for files below `results` in the workspace. */
  files: { name: string; content: string }[];
  /** What an earlier attempt left: work that was not pushed, and the CLI's session. Null: from the start. */
  continues: BriefContinues | null;
  /** The report that an earlier attempt announced before it pushed. When its commit is on the remote, the agent is skipped. */
  announced: Report | null;
}

/** `checkout.json`: where this attempt starts from. */
export interface CheckoutRecord {
  /** The commit that an earlier attempt announced is on the remote: the agent is skipped. */
  already_published: boolean;
  /** Null where there is no repository. */
  branch: string | null;
  /** The commit that the branch started from; null in an empty repository and where there is none. */
  start_sha: string | null;
  /** Of a planner, whose start is its plan's: the commit of the default branch that its work tree began from. */
  shown_sha?: string | null;
  /** What of the brief's `continues` is in the workspace; null or missing: nothing, the agent starts from the start. */
  continued?: ContinuedWork | null;
}

/** What an earlier attempt left, laid out again. */
export interface ContinuedWork {
  /** A session that lies in the agent's HOME, to be resumed. */
  session_id: string | null;
  code: FailureCode | null;
  error: string | null;
  /** Its commits, one a line, the newest first, bounded. */
  commits: string;
}

/** The end of the agent phase, in its own words. */
export interface Outcome {
  success: boolean;
  /** Null on success. */
  code: FailureCode | null;
  /** One sentence; null on success. */
  error: string | null;
  /** The agent's final message, bounded to 16 KiB; null where it made none. */
  summary: string | null;
  /** The end of what was said, on failure, bounded to 8 KiB. */
  logs: string | null;
  cost_usd: number;
  turns: number;
  input_tokens: number;
  output_tokens: number;
  cache_read_tokens: number;
  cache_creation_tokens: number;
  /** The CLI's session id. */
  session_id: string | null;
  model: string | null;
  /** Epoch seconds; with `usage_limit` only, null where Claude did not say. */
  resets_at: number | null;
  /** Epoch seconds: the service has warned that a usage limit is near, and it resets then. Null: no warning. */
  warned_until: number | null;
  /** The account went on with paid extra usage: nothing more may start with this credential. */
  paid_usage: boolean;
  /** Result of the check command; null where there is none. */
  checks: { passed: boolean; tries: number; output: string } | null;
}

/** A task that the agent wants created: one file in the outbox. */
export interface OutboxTask {
  prompt: string;
  addressee: string | null;
  repo_url: string | null;
  branch: string | null;
  base_branch: string | null;
  kind: string | null;
  /** The step of the plan that it works on: failures in a row are counted by it. */
  step: string | null;
  /** Files and directories that it will change. */
  paths: string[] | null;
  /** `each`: wake me when it ends; `last`: when the last of this run's tasks that say so has ended, or one has failed. */
  wake: "each" | "last";
  pull_request: boolean;
}

/** Green's word that its epic is over: the other kind of file in the outbox. */
export interface FinishEpic {
  success: boolean;
  summary: string;
}

/** What `write_report` stores. The engine settles from it. */
export interface Report extends Outcome {
  /** The task's branch; null where there is no repository, or nothing was pushed for a failure. */
  branch: string | null;
  /** The branch's commit on the remote; null where nothing was committed. */
  commit_sha: string | null;
  /** Paths changed by this run's commits, at most 1,000. */
  files_changed: string[];
  pull_request_url: string | null;
  /** What was not pushed is kept: the next attempt may go on from it. */
  work_kept: boolean;
  /** The outbox. */
  tasks: OutboxTask[];
  finish_epic: FinishEpic | null;
}

/**
 * Environment of the phases. "all" means every phase.
 *
 * | variable | phase | meaning |
 * | --- | --- | --- |
 * | `MYZEL_PHASE` | all | which phase this is |
 * | `MYZEL_WORKSPACE` | all | the shared directory |
 * | `MYZEL_RUN_ID` | all | uuid of the run |
 * | `MYZEL_TERMINATION_LOG` | all | file for one sentence that says why a phase failed (`/dev/termination-log` on Kubernetes); may be unset |
 * | `MYZEL_DATABASE_URL` | checkout, publish | the pod's login |
 * | `MYZEL_RUN_TOKEN` | checkout, publish | the run's token, hex |
 * | `MYZEL_BOUND_TO` | checkout, publish | the pod (or process) this run binds to |
 * | `MYZEL_GIT_USERNAME`, `MYZEL_GIT_PASSWORD` | checkout, publish | HTTPS credential, offered to the brief's remote only |
 * | `GIT_SSH_COMMAND` | checkout, publish | transport for SSH remotes, used as it is |
 * | `GIT_SSH_VARIANT` | checkout, publish | its kind, as git names it, where git cannot tell by its name and would start it once more to ask; may be unset |
 * | `MYZEL_GIT_INSTEAD_OF` | checkout, publish | `<from>=<to>`, split at the last `=`: git reaches remotes that begin with `from` at `to`; may be unset |
 * | `MYZEL_REPO_MIRROR` | checkout, publish | path of a bare mirror to borrow objects from while cloning; may be unset |
 * | `MYZEL_CLONE_DEPTH` | checkout, publish | shallow clone of so many commits; unset: whole |
 * | `MYZEL_CHECKS_WAIT_SECONDS` | publish | how long a merge waits for the checks of its pull request; default 900 |
 * | `MYZEL_KEEP_ONLY` | publish | `1`: the run was told to stop; keep what it leaves, push and report nothing |
 * | `MYZEL_STOP_FILE` | agent, publish | a file that is empty or missing until the run is to stop: the agent ends as `stopped`, publish keeps what there is, pushes and reports nothing; may be unset |
 * | `MYZEL_PRIVATE_DIR` | publish | an empty directory the agent never had access to, for publish's own repository |
 * | `MYZEL_SPOOL_DIR` | publish | where a report is left that the database could not take |
 * | `CLAUDE_CODE_OAUTH_TOKEN` | agent; publish for masking | the Claude token |
 * | `MYZEL_CLAUDE_DIR` | agent; publish for masking | a mounted `~/.claude` with a login, instead of the token |
 * | `MYZEL_SECRET_<NAME>` | agent; publish for masking | a secret of the profile, which the agent gets as `<NAME>` |
 * | `MYZEL_CLAUDE_PATH` | agent | the CLI; default `claude` on the PATH |
 * | `MYZEL_MODEL_BASE_URL` | agent | another model endpoint; the only one accepted where it is set |
 * | `MYZEL_RUN_MARK` | all | the run's id: by it a launcher without users of its own finds every process of the run |
 * | `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`, `GIT_SSL_CAINFO` | checkout, publish | as git knows them; may be unset |
 * | `NODE_COMPILE_CACHE` | all | compiled code of the phases, read only or nobody's but the run's own user's; may be unset |
 * | `PATH`, `LANG`, `TZ`, `HOME`, `TMPDIR` | all | as their names say |
 */
export type PhaseEnvironment = Record<string, string>;

/** Begins the variables of the profile's secrets, so that none has an effect on the phase itself. */
export const SECRET_PREFIX = "MYZEL_SECRET_";
