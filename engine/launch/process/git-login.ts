/**
 * Asks the user's own credential helpers for the login of an HTTP remote, as the user, and nobody
 * else: no terminal, no window, no keychain of ours.
 */
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import type { GitRemote } from "./git-remote.ts";

/** A helper that waits for a person is not waited for longer. */
const TIMEOUT_MS = 10_000;

export interface GitLogin {
  username: string;
  password: string;
}

/**
 * The login for the remote; null where there is none, or where the remote needs none.
 * @param environment the engine's, for HOME and whatever the helpers need
 */
export async function findGitLogin(
  remote: GitRemote,
  environment: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<GitLogin | null> {
  if (remote.kind !== "http") return null;
  if (remote.username !== null && remote.password !== null) {
    return { username: remote.username, password: remote.password };
  }
  const request = [
    `protocol=${remote.protocol}`,
    `host=${remote.host}`,
    `path=${remote.path}`,
    ...(remote.username === null ? [] : [`username=${remote.username}`]),
  ];
  if (request.some((line) => /[\n\0]/.test(line))) return null;
  return parseAnswer(await ask(`${request.join("\n")}\n\n`, environment, signal));
}

async function ask(request: string, environment: NodeJS.ProcessEnv, signal: AbortSignal): Promise<string> {
  const git = spawn("git", ["-c", "core.askPass=", "-c", "credential.interactive=never", "credential", "fill"], {
    cwd: "/",
    env: { ...environment, GIT_TERMINAL_PROMPT: "0", GIT_ASKPASS: "", SSH_ASKPASS: "" },
    // Its session is its own, so that a helper finds no terminal to ask at, and is ended as a whole.
    detached: true,
    stdio: ["pipe", "pipe", "ignore"],
  });
  const end = (): void => {
    try {
      if (git.pid !== undefined) process.kill(-git.pid, "SIGKILL");
    } catch {
      // Ended by itself.
    }
    git.stdout.destroy();
  };
  git.on("error", () => git.stdout.destroy());
  git.stdin.on("error", () => undefined);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  limit.addEventListener("abort", end, { once: true });
  git.stdin.end(request);
  try {
    return await text(git.stdout);
  } catch {
    return "";
  } finally {
    limit.removeEventListener("abort", end);
  }
}

function parseAnswer(answer: string): { username: string; password: string } | null {
  const username = /^username=(.*)$/m.exec(answer)?.[1];
  const password = /^password=(.+)$/m.exec(answer)?.[1];
  return username === undefined || password === undefined ? null : { username, password };
}
