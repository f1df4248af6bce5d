/**
 * A claimed run in a real, migrated database, and the phases checkout and publish as its pod would run
 * them. The agent's part is played by the test, which writes into the workspace.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { type CheckoutRecord, type Outcome, type Phase, type Report, WORKSPACE } from "../../worker-image/contract.ts";
import { schemaClient, type SchemaClient } from "./schema-client.ts";

const PHASES = join(import.meta.dirname, "../../worker-image/phases");

/** What an agent phase says of a run that went well. */
export const SUCCESS: Outcome = {
  success: true,
  code: null,
  error: null,
  summary: "Did it.",
  logs: null,
  cost_usd: 0.25,
  turns: 3,
  input_tokens: 10,
  output_tokens: 20,
  cache_read_tokens: 30,
  cache_creation_tokens: 40,
  session_id: "00000000-0000-4000-8000-00000000000a",
  model: "claude-sonnet-5-5",
  resets_at: null,
  warned_until: null,
  paid_usage: false,
  checks: null,
};

export interface PodRun {
  db: SchemaClient;
  taskId: string;
  runId: string;
  token: string;
  /** Holds the workspace, the private directory and the spool. */
  directory: string;
  workspace: string;
  repo: string;
  /** Of checkout and publish; a test may add to it. */
  environment: Record<string, string>;
  /** Runs a phase as a process. */
  phase(phase: Phase, environment?: Record<string, string>): Promise<PhaseEnd>;
  /** git as the agent, in its clone. @throws Error with what git said */
  git(...args: string[]): string;
  /** Writes files into the agent's clone. */
  write(files: Record<string, string | Buffer>): void;
  /** Writes outcome.json. */
  outcome(outcome?: Partial<Outcome>): void;
  record(): CheckoutRecord;
  /** What write_report stored. */
  stored(): Promise<{ report: Report | null; announced: Report | null; transcript: string | null }>;
  close(): Promise<void>;
}

export interface PhaseEnd {
  exitCode: number | null;
  stderr: string;
  /** The termination log. */
  message: string | null;
}

export interface PodTask {
  repo_url?: string;
  branch?: string;
  base_branch?: string;
  addressee?: string;
  /** Columns of the profile that are changed. */
  profile?: Record<string, unknown>;
  /** Columns of task_options, such as `kind`. */
  options?: Record<string, unknown>;
  /** Columns of the project that the repository gets. */
  project?: Record<string, unknown>;
}

/** Claims a run for a new task. */
export async function podRun(task: PodTask = {}): Promise<PodRun> {
  const db = await schemaClient();
  const { profile = {}, options = {}, project, base_branch, ...columns } = task;
  for (const [column, value] of Object.entries(profile)) {
    await db.pool.query(`update profiles set "${column}" = $1`, [value]);
  }
  const inserted = await db.pool.query(
    "select (enqueue(addressee => $1, prompt => 'Do it.', repo_url => $2, branch => $3, base_branch => $4)).id",
    [columns.addressee ?? "worker", columns.repo_url, columns.branch, base_branch],
  );
  const taskId: string = inserted.rows[0].id;
  if (project !== undefined) await addProject(db, columns.repo_url, project);
  await setOptions(db, taskId, options);
  await db.claimAll();
  if (project !== undefined) await db.pool.query("update runs set project = 'project' where task_id = $1", [taskId]);
  return asPod(db, taskId);
}

async function addProject(db: SchemaClient, repoUrl: string | undefined, columns: Record<string, unknown>) {
  await db.pool.query("insert into projects (name, repo_url) values ('project', $1)", [repoUrl]);
  for (const [column, value] of Object.entries(columns)) {
    await db.pool.query(`update projects set "${column}" = $1`, [value]);
  }
}

async function setOptions(db: SchemaClient, taskId: string, columns: Record<string, unknown>): Promise<void> {
  if (Object.keys(columns).length === 0) return;
  await db.pool.query("insert into task_options (task_id) values ($1) on conflict do nothing", [taskId]);
  for (const [column, value] of Object.entries(columns)) {
    await db.pool.query(`update task_options set "${column}" = $2 where task_id = $1`, [taskId, value]);
  }
}

/** The pod of the task's live run. */
export async function asPod(db: SchemaClient, taskId: string): Promise<PodRun> {
  const runId = (await db.liveRun(taskId))?.id ?? "";
  const directory = mkdtempSync(join(tmpdir(), "myzel-pod-"));
  const workspace = join(directory, "workspace");
  const repo = join(workspace, WORKSPACE.repo);
  mkdirSync(workspace);
  const environment: Record<string, string> = {
    PATH: process.env["PATH"] ?? "",
    LANG: "C.UTF-8",
    MYZEL_WORKSPACE: workspace,
    MYZEL_RUN_ID: runId,
    MYZEL_TERMINATION_LOG: join(directory, "termination-log"),
    MYZEL_DATABASE_URL: db.test.url("pod"),
    MYZEL_RUN_TOKEN: db.token(runId),
    MYZEL_BOUND_TO: "pod-1",
    MYZEL_PRIVATE_DIR: join(directory, "private"),
    MYZEL_SPOOL_DIR: join(directory, "spool"),
  };
  const pod: PodRun = {
    db,
    taskId,
    runId,
    token: db.token(runId),
    directory,
    workspace,
    repo,
    environment,
    phase: (phase, extra = {}) => runPhase(phase, { ...environment, ...extra }),
    git: (...args) => agentGit(repo, workspace, args),
    write(files) {
      for (const [name, content] of Object.entries(files)) {
        mkdirSync(dirname(join(repo, name)), { recursive: true });
        writeFileSync(join(repo, name), content);
      }
    },
    outcome: (outcome = {}) =>
      writeFileSync(join(workspace, WORKSPACE.outcome), JSON.stringify({ ...SUCCESS, ...outcome })),
    record: () => JSON.parse(readFileSync(join(workspace, WORKSPACE.checkout), "utf8")) as CheckoutRecord,
    stored: () => readStored(db, runId),
    close: async () => {
      rmSync(directory, { recursive: true, force: true });
      await db.close();
    },
  };
  return pod;
}

/** Starts a phase for a test that wants to signal it. */
export function startPhase(phase: Phase, environment: Record<string, string>): ChildProcess {
  return spawn(process.execPath, [join(PHASES, `${phase}.ts`)], {
    env: environment,
    stdio: ["ignore", "ignore", "pipe"],
  });
}

async function runPhase(phase: Phase, environment: Record<string, string>): Promise<PhaseEnd> {
  const log = environment["MYZEL_TERMINATION_LOG"] ?? "";
  rmSync(log, { force: true });
  const child = startPhase(phase, environment);
  let stderr = "";
  child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const exitCode = await new Promise<number | null>((resolve) => child.once("close", resolve));
  let message: string | null = null;
  try {
    message = readFileSync(log, "utf8");
  } catch {
    // It left none.
  }
  return { exitCode, stderr, message };
}

function agentGit(repo: string, workspace: string, args: string[]): string {
  const env = {
    PATH: process.env["PATH"],
    HOME: join(workspace, WORKSPACE.home),
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_AUTHOR_NAME: "Agent",
    GIT_AUTHOR_EMAIL: "agent@myzel.invalid",
    GIT_COMMITTER_NAME: "Agent",
    GIT_COMMITTER_EMAIL: "agent@myzel.invalid",
  };
  const run = spawnSync("git", args, { cwd: repo, env, encoding: "utf8" });
  if (run.status !== 0) throw new Error(`git ${args.join(" ")}: ${run.stderr}`);
  return run.stdout.trim();
}

async function readStored(db: SchemaClient, runId: string) {
  const { rows } = await db.pool.query(
    "select report, announced, content from runs left join run_transcripts on run_id = id where id = $1",
    [runId],
  );
  const { report, announced, content } = rows[0] as { report: Report; announced: Report; content: Buffer | null };
  return { report, announced, transcript: content === null ? null : gunzipSync(content).toString("utf8") };
}
