/**
 * Runs the real agent phase, with the real CLI unless told otherwise, in a throwaway workspace.
 *
 * Where the tests run as root the phase runs as an ordinary user, for Claude Code refuses root.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Brief, BriefProfile, Outcome } from "../../worker-image/contract.ts";

const PHASE = join(import.meta.dirname, "../../worker-image/phases/agent.ts");

/** The pinned CLI. */
const CLAUDE = join(import.meta.dirname, "../../node_modules/.bin/claude");

/** Who runs the phase where the tests run as root: nobody. */
const ORDINARY_ID = 65534;
const asUser = process.getuid?.() === 0 ? { uid: ORDINARY_ID, gid: ORDINARY_ID } : {};

export const TOKEN = "sk-ant-oat01-TestToken_with-some+length/0123456789";

export interface Workspace {
  path: string;
  /** Writes a file below the workspace, owned by the phase's user. */
  write(name: string, content: string, mode?: number): string;
  read(name: string): string;
  exists(name: string): boolean;
  list(name: string): string[];
  /** Runs a program as the phase's user in the repository. */
  run(program: string, ...args: string[]): string;
  remove(): void;
}

/** A workspace as checkout leaves it: a repository with one commit on the task's branch. */
export function makeWorkspace(): Workspace {
  const path = mkdtempSync(join(tmpdir(), "myzel-agent-"));
  chmodSync(path, 0o755);
  own(path);
  for (const name of ["repo", "home", "tmp"]) {
    mkdirSync(join(path, name));
    own(join(path, name));
  }
  const workspace: Workspace = {
    path,
    write(name, content, mode = 0o644) {
      const file = join(path, name);
      const missing: string[] = [];
      for (let folder = dirname(file); !existsSync(folder); folder = dirname(folder)) missing.push(folder);
      for (const folder of missing.toReversed()) {
        mkdirSync(folder);
        own(folder);
      }
      writeFileSync(file, content, { mode });
      own(file);
      return file;
    },
    read: (name) => readFileSync(join(path, name), "utf8"),
    exists: (name) => existsSync(join(path, name)),
    list: (name) => (existsSync(join(path, name)) ? readdirSync(join(path, name)) : []),
    run(program, ...args) {
      const env = { PATH: process.env["PATH"], HOME: join(path, "home"), GIT_CONFIG_NOSYSTEM: "1" };
      const result = spawnSync(program, args, { cwd: join(path, "repo"), env, encoding: "utf8", ...asUser });
      if (result.status !== 0) throw new Error(`${program} ${args.join(" ")}: ${result.stderr}`);
      return result.stdout;
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
  workspace.run("git", "init", "--quiet", "--initial-branch=myzel/task");
  workspace.run(
    "git",
    "-c",
    "user.name=T",
    "-c",
    "user.email=t@t",
    "commit",
    "--quiet",
    "--allow-empty",
    "-m",
    "Start",
  );
  return workspace;
}

export function briefWith(profile: Partial<BriefProfile> = {}, brief: Partial<Brief> = {}): Brief {
  return {
    run_id: "00000000-0000-4000-8000-000000000001",
    task_id: "00000000-0000-4000-8000-000000000002",
    attempt: 1,
    addressee: "worker-1",
    prompt: "Do it.",
    repo_url: "file:///nowhere",
    branch: "myzel/task",
    base_branch: null,
    default_branch: null,
    kind: null,
    epic: null,
    merge: null,
    pull_request: false,
    host: { api: null, api_url: null },
    files: [],
    continues: null,
    created_by: null,
    parent_id: null,
    announced: null,
    ...brief,
    profile: {
      name: "test",
      role: "red",
      model: "sonnet",
      effort: null,
      system_prompt: null,
      max_turns: 20,
      max_cost_usd: null,
      time_limit_seconds: 60,
      first_output_seconds: 30,
      silence_seconds: 30,
      setup_command: null,
      check_command: null,
      check_tries: 1,
      push_failing_work: false,
      may_push_default_branch: false,
      run_commit_hooks: false,
      may_create_tasks: false,
      trust_repository: false,
      environment: { CLAUDE_CODE_MAX_RETRIES: "0" },
      mcp_servers: {},
      skills: {},
      ...profile,
    },
  };
}

export interface PhaseRun {
  exitCode: number | null;
  log: string;
  outcome: Outcome | null;
  /** The lines of the transcript. */
  stream: string;
  /** What it left in its termination log. */
  message: string | null;
  wallMs: number;
}

export interface PhaseOptions {
  brief?: Brief;
  /** Over the usual environment; undefined removes a variable. */
  environment?: Record<string, string | undefined>;
  modelUrl?: string;
  /** Gets the process, to signal it. */
  onStart?: (child: ChildProcess) => void;
}

/** Runs the phase to its end. What it started beyond its own process group is the caller's to look for. */
export async function runPhase(workspace: Workspace, options: PhaseOptions = {}): Promise<PhaseRun> {
  workspace.write("brief.json", JSON.stringify(options.brief ?? briefWith()));
  const given = {
    PATH: process.env["PATH"],
    LANG: "C.UTF-8",
    MYZEL_PHASE: "agent",
    MYZEL_WORKSPACE: workspace.path,
    MYZEL_RUN_ID: "00000000-0000-4000-8000-000000000001",
    MYZEL_TERMINATION_LOG: join(workspace.path, "termination-log"),
    MYZEL_CLAUDE_PATH: CLAUDE,
    CLAUDE_CODE_OAUTH_TOKEN: TOKEN,
    MYZEL_MODEL_BASE_URL: options.modelUrl,
    ...options.environment,
  };
  const env = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const startedAt = performance.now();
  const child = spawn(process.execPath, [PHASE], { env, stdio: ["ignore", "pipe", "pipe"], cwd: "/", ...asUser });
  options.onStart?.(child);
  let log = "";
  child.stdout.on("data", (chunk) => (log += chunk));
  child.stderr.on("data", (chunk) => (log += chunk));
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const exitCode = await new Promise<number | null>((resolve) => child.once("exit", resolve));
  const wallMs = performance.now() - startedAt;
  await Promise.race([closed, delay(2000, undefined, { ref: false })]);
  child.stdout.destroy();
  child.stderr.destroy();
  return {
    exitCode,
    log,
    outcome: workspace.exists("outcome.json") ? (JSON.parse(workspace.read("outcome.json")) as Outcome) : null,
    stream: workspace.exists("stream.jsonl") ? workspace.read("stream.jsonl") : "",
    message: workspace.exists("termination-log") ? workspace.read("termination-log") : null,
    wallMs,
  };
}

function own(path: string): void {
  if (asUser.uid !== undefined) chownSync(path, ORDINARY_ID, ORDINARY_ID);
}
