/**
 * The whole way on real parts, for end-to-end tests: a migrated database, the process launcher with the
 * real phases and the real CLI, a scripted model on loopback, and an engine: in this process, or as a
 * process of its own that can be killed.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type pg from "pg";
import { pino } from "pino";
import { createProcessLauncher } from "../../engine/launch/process/process-launcher.ts";
import type { Launcher } from "../../engine/launch/launcher.ts";
import { testDatabase } from "./postgres.ts";
import type { TestDatabase } from "./postgres.ts";
import { startScriptedModel } from "./scripted-model.ts";
import type { Script, ScriptedModel } from "./scripted-model.ts";
import { startTestEngine } from "./test-engine.ts";
import { eventually } from "./waiting.ts";

/** A token of the real shape; no account has it. */
export const CLAUDE_TOKEN = "sk-ant-oat01-test-token-of-nobody-0123456789";

const ROOT = join(import.meta.dirname, "..", "..");
const UNTIL_DONE_MS = 300_000;

export interface TaskRow {
  id: string;
  status: string;
  result: Record<string, unknown> & { success: boolean };
}

export interface Spine {
  test: TestDatabase;
  pool: pg.Pool;
  model: ScriptedModel;
  dataDir: string;
  launcher: Launcher;
  /** Starts an engine in this process; ends with the spine at the latest. */
  startEngine(): { stop(): Promise<void> };
  /** Starts an engine as a process of its own. */
  spawnEngine(): ChildProcess;
  /** By plain SQL. */
  insert(task: Record<string, string>): Promise<string>;
  /** The task once it is completed and its run is over. */
  completed(taskId: string): Promise<TaskRow>;
  transcript(taskId: string): Promise<string>;
  close(): Promise<void>;
}

/** @param script of the model; its conversation is the agent's */
export async function startSpine(
  script: Script,
  options: { claudeToken?: string | null; environment?: NodeJS.ProcessEnv; maxLiveRuns?: number } = {},
): Promise<Spine> {
  const claudeToken = options.claudeToken === undefined ? CLAUDE_TOKEN : options.claudeToken;
  const dataDir = await mkdtemp(join(tmpdir(), "myzel-spine-"));
  await chmod(dataDir, 0o711);
  const test = await testDatabase();
  const model = await startScriptedModel(script);
  const log = pino({ level: process.env["MYZEL_TEST_LOG"] ?? "silent" });
  const launcher = createProcessLauncher({
    dataDir,
    podDatabaseUrl: test.url("pod"),
    modelBaseUrl: model.url,
    runUidBase: 1_900_000_000,
    ...(claudeToken === null ? {} : { claudeToken }),
    environment: options.environment ?? process.env,
    log,
  });
  const engines: { stop(): Promise<void> }[] = [];
  const children: ChildProcess[] = [];

  const startEngine = () => {
    const engine = startTestEngine(test, launcher, {
      log,
      pollIntervalMs: 5_000,
      maxLiveRuns: options.maxLiveRuns ?? 4,
    });
    engines.push(engine);
    return engine;
  };

  const spawnEngine = (): ChildProcess => {
    const child = spawn(process.execPath, [join(ROOT, "engine", "main.ts"), "engine"], {
      env: {
        PATH: process.env["PATH"],
        HOME: process.env["HOME"],
        DATABASE_URL: test.url("engine"),
        MYZEL_POD_DATABASE_URL: test.url("pod"),
        MYZEL_ROLE_PREFIX: test.rolePrefix,
        MYZEL_DATA_DIR: dataDir,
        MYZEL_LAUNCHER: "process",
        MYZEL_MODEL_BASE_URL: model.url,
        MYZEL_POLL_INTERVAL: "1s",
        ...(claudeToken === null ? {} : { CLAUDE_CODE_OAUTH_TOKEN: claudeToken }),
      },
      stdio: ["ignore", "ignore", process.env["MYZEL_TEST_LOG"] === undefined ? "ignore" : "inherit"],
    });
    children.push(child);
    return child;
  };

  return {
    test,
    pool: test.pool,
    model,
    dataDir,
    launcher,
    startEngine,
    spawnEngine,
    insert: async (task) => {
      const columns = Object.keys(task);
      const values = columns.map((_, index) => `$${index + 1}`);
      const { rows } = await test.pool.query(
        `insert into tasks (${columns.join(", ")}) values (${values.join(", ")}) returning id`,
        Object.values(task),
      );
      return rows[0].id;
    },
    completed: (taskId) =>
      eventually(
        `task ${taskId} completes`,
        async () => {
          const { rows } = await test.pool.query<TaskRow>(
            `select * from tasks where id = $1 and status = 'completed'
               and not exists (select from runs where task_id = $1 and finished_at is null)`,
            [taskId],
          );
          return rows[0];
        },
        UNTIL_DONE_MS,
      ),
    transcript: async (taskId) => {
      const { rows } = await test.pool.query(
        "select t.content from run_transcripts t join runs r on r.id = t.run_id where r.task_id = $1 order by r.attempt desc limit 1",
        [taskId],
      );
      const { gunzipSync } = await import("node:zlib");
      return rows[0] === undefined ? "" : gunzipSync(rows[0].content).toString("utf8");
    },
    close: async () => {
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(engines.map((engine) => engine.stop()));
      await endRuns(launcher);
      await launcher.close();
      await model.close();
      await test.close();
      // What a killed engine was still making may appear meanwhile.
      await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Nothing of a test outlives it: every job is stopped and removed. */
async function endRuns(launcher: Launcher): Promise<void> {
  await eventually("all jobs have ended", async () => {
    const jobs = await launcher.observe();
    for (const job of jobs) {
      if (job.state === "ended") await launcher.remove(job.jobName);
      else await launcher.stop(job.jobName, "end of the test");
    }
    return jobs.length === 0;
  });
}
