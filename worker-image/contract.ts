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
  /** Tasks the agent wants created, one JSON file each, `0001.json` … */
  outbox: "outbox",
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
  /** Run by /bin/sh in the work tree at the end of the agent phase, without any credential. */
  check_command: string | null;
  /** How often a failing check goes back to the agent. */
  check_tries: number;
  /** Push although the checks fail (the result says `checks_failed` all the same). */
  push_failing_work: boolean;
  /** The task's branch may be the default branch. */
  may_push_default_branch: boolean;
  /** The repository's own commit hooks take effect on the agent's commits. */
  run_commit_hooks: boolean;
  /** The MCP tool `create_task` is offered. */
  may_create_tasks: boolean;
  /** Plain variables for the agent, never secrets. */
  environment: Record<string, string>;
  /** Further MCP servers, in the form of the CLI's `mcpServers`. */
  mcp_servers: Record<string, unknown>;
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
  created_by: string | null;
  parent_id: string | null;
  profile: BriefProfile;
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
  /** Result of the check command; null where there is none. */
  checks: { passed: boolean; tries: number; output: string } | null;
}

/** A task that the agent wants created: one file in the outbox. */
export interface OutboxTask {
  prompt: string;
  addressee: string | null;
  repo_url: string | null;
  branch: string | null;
  kind: string | null;
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
  /** The outbox. */
  tasks: OutboxTask[];
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
 * | `MYZEL_GIT_INSTEAD_OF` | checkout, publish | `<address>=<other>`: git uses the other address in place of the brief's; may be unset |
 * | `MYZEL_REPO_MIRROR` | checkout, publish | path of a bare mirror to borrow objects from while cloning; may be unset |
 * | `MYZEL_CLONE_DEPTH` | checkout, publish | shallow clone of so many commits; unset: whole |
 * | `MYZEL_PRIVATE_DIR` | publish | an empty directory the agent never had access to, for publish's own repository |
 * | `MYZEL_SPOOL_DIR` | publish | where a report is left that the database could not take |
 * | `CLAUDE_CODE_OAUTH_TOKEN` | agent; publish for masking | the Claude token |
 * | `MYZEL_CLAUDE_DIR` | agent; publish for masking | a mounted `~/.claude` with a login, instead of the token |
 * | `MYZEL_CLAUDE_PATH` | agent | the CLI; default `claude` on the PATH |
 * | `MYZEL_MODEL_BASE_URL` | agent | another model endpoint; the only one accepted where it is set |
 * | `MYZEL_GIT_INSTEAD_OF` | checkout, publish | `<from>=<to>`, split at the last `=`: remotes that begin with `from` are reached at `to`; may be unset |
 * | `MYZEL_RUN_MARK` | all | the run's id: by it a launcher without users of its own finds every process of the run |
 * | `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`, `GIT_SSL_CAINFO` | checkout, publish | as git knows them; may be unset |
 * | `PATH`, `LANG`, `TZ`, `HOME`, `TMPDIR` | all | as their names say |
 */
export type PhaseEnvironment = Record<string, string>;
