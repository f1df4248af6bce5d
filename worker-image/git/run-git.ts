/**
 * Runs git, and nothing of git but what is asked for: an environment built from nothing, no
 * configuration of a user or the system, no hooks, no terminal, no shell.
 *
 * A git with a login is one whose context carries it (remote-access.ts); the arguments never do.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { explainGitFailure, type GitFailure } from "./git-failure.ts";

export type Variables = Readonly<Record<string, string>>;

/** Where and as whom git runs. */
export interface GitContext {
  environment: Variables;
  cwd: string;
  signal: AbortSignal;
  /** The remote as people may see it, for failures. */
  remote?: string;
}

export interface GitEnd {
  exitCode: number;
  /** Bytes as latin1 where `encoding` says so, else UTF-8. */
  stdout: string;
  /** Its end, at most 64 KiB. */
  stderr: string;
}

export interface GitOptions {
  input?: string | Buffer;
  /** Default UTF-8; `latin1` keeps every byte of a path. */
  encoding?: "utf8" | "latin1";
}

/** git said no. The message is a sentence for people that ends with what git said; not masked. */
export class GitError extends Error {
  override readonly name = "GitError";
  readonly failure: GitFailure;
  constructor(failure: GitFailure) {
    super(failure.sentence);
    this.failure = failure;
  }
}

const MAX_STDOUT_BYTES = 256 * 2 ** 20;
const MAX_STDERR_CHARACTERS = 64 * 2 ** 10;

/**
 * What git prints.
 * @throws GitError where it fails, the signal's reason where that ended it
 */
export async function git(context: GitContext, args: readonly string[], options: GitOptions = {}): Promise<string> {
  const end = await tryGit(context, args, options);
  if (end.exitCode !== 0) throw new GitError(explainGitFailure(end.stderr, context.remote ?? null));
  return end.stdout;
}

/** Runs git to its end, whatever that is. */
export async function tryGit(context: GitContext, args: readonly string[], options: GitOptions = {}): Promise<GitEnd> {
  const running = startGit(context, args, options.input ?? "");
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of running.stdout as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_STDOUT_BYTES) running.stop();
    else chunks.push(chunk);
  }
  const end = await running.ended;
  if (bytes > MAX_STDOUT_BYTES) return { exitCode: -1, stdout: "", stderr: `git ${args[0]} printed too much` };
  return { ...end, stdout: Buffer.concat(chunks).toString(options.encoding ?? "utf8") };
}

export interface RunningGit {
  stdout: Readable;
  ended: Promise<Omit<GitEnd, "stdout">>;
  stop(): void;
}

/** Starts git for a caller that reads its output while it runs. The context's signal ends it. */
export function startGit(context: GitContext, args: readonly string[], input: string | Buffer): RunningGit {
  context.signal.throwIfAborted();
  const child = spawn("git", args, {
    cwd: context.cwd,
    env: context.environment,
    // A session of its own: ssh finds no terminal to ask at, and the whole of it can be ended.
    detached: true,
    stdio: "pipe",
  });
  const stop = (): void => signalGroup(child);
  context.signal.addEventListener("abort", stop, { once: true });
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-MAX_STDERR_CHARACTERS)));
  // A git that ends before it has read its input is judged by its end.
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const ended = new Promise<Omit<GitEnd, "stdout">>((resolve, reject) => {
    child.once("error", (error) => resolve({ exitCode: -1, stderr: `git cannot be started: ${error.message}` }));
    child.once("close", (exitCode) => {
      context.signal.removeEventListener("abort", stop);
      if (context.signal.aborted) reject(context.signal.reason);
      else resolve({ exitCode: exitCode ?? -1, stderr });
    });
  });
  ended.catch(() => {});
  return { stdout: child.stdout, ended, stop };
}

/** The environment of every git of ours: what it says of the machine, and what it must not do. */
export function gitEnvironment(settings: { path: string; home: string; config?: Variables }): Record<string, string> {
  return {
    PATH: settings.path,
    HOME: settings.home,
    TMPDIR: settings.home,
    // Messages in English, for they are read by git-failure.ts.
    LC_ALL: "C",
    TZ: "UTC",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_ATTR_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
    // Set and empty: nobody is asked, neither a program of git's nor of ssh's.
    GIT_ASKPASS: "",
    SSH_ASKPASS_REQUIRE: "never",
    GIT_ALLOW_PROTOCOL: "file",
    GIT_NO_REPLACE_OBJECTS: "1",
    ...configVariables({ ...SAFE_CONFIG, ...settings.config }),
  };
}

/** Runs nothing that a repository names, and nothing in the background. */
const SAFE_CONFIG: Variables = {
  "core.hooksPath": "/dev/null",
  "core.fsmonitor": "false",
  "core.untrackedCache": "false",
  // Names and values of the agent's: what these files claim need not be so.
  "core.commitGraph": "false",
  "core.multiPackIndex": "false",
  "pack.useBitmaps": "false",
  "pack.readReverseIndex": "false",
  "gc.auto": "0",
  "maintenance.auto": "false",
  "submodule.recurse": "false",
  "fetch.recurseSubmodules": "false",
  "push.recurseSubmodules": "no",
  "commit.gpgSign": "false",
  "push.gpgSign": "false",
  "init.defaultBranch": "main",
  "advice.detachedHead": "false",
};

function configVariables(config: Variables): Record<string, string> {
  const entries = Object.entries(config);
  const variables = entries.flatMap(([key, value], index) => [
    [`GIT_CONFIG_KEY_${index}`, key],
    [`GIT_CONFIG_VALUE_${index}`, value],
  ]);
  return { ...Object.fromEntries(variables), GIT_CONFIG_COUNT: String(entries.length) };
}

function signalGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGTERM");
  } catch {
    // Ended by itself.
  }
}
