/**
 * The supervisor's side of its socket. Listening is what being alive means: the kernel takes the
 * socket away with the process, so no pid is ever guessed at.
 *
 * Two names guard a run. One in Linux's abstract namespace, made of the run's id, which is free
 * exactly when no supervisor of the run lives, even where its directory was deleted under it. And the
 * file `supervisor.sock`, which once made stays, so that a run is never started a second time.
 */
import { chmodSync, existsSync, renameSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import type { Phase } from "../../../worker-image/contract.ts";
import { RUN_FILES } from "./run-directory.ts";

/** What the supervisor tells whoever connects, one line at once and one at every change. */
export interface SupervisorState {
  runId: string;
  podName: string;
  state: "starting" | "running" | "ending";
  phase: Phase | null;
}

export interface ControlSocket {
  /** Tells everybody who listens. */
  publish(state: SupervisorState): void;
}

/** How a supervisor tells the launcher that another one has the run. */
export const EXIT_TAKEN = 3;

/** Somebody else runs this run, or has run it. */
export class RunIsTaken extends Error {}

/**
 * Takes the run for this process, in the current directory, which must be the run's.
 * @throws RunIsTaken
 */
export async function takeRun(runId: string): Promise<void> {
  const lock = createServer((socket) => socket.destroy());
  await listen(lock, `\0myzel-run-${runId}`);
  if (existsSync(RUN_FILES.socket)) throw new RunIsTaken("this run was started before");
}

/** Listens in the current directory, after `takeRun`. `onStop` may be called more than once. */
export async function openControlSocket(
  first: SupervisorState,
  onStop: (reason: string) => void,
): Promise<ControlSocket> {
  let line = toLine(first);
  const listeners = new Set<Socket>();
  const server = createServer((socket) => {
    listeners.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => listeners.delete(socket));
    readStop(socket, onStop);
    socket.write(line);
  });
  // Listening first and named afterwards: whoever sees the name can connect.
  const unnamed = `${RUN_FILES.socket}.${process.pid}`;
  rmSync(unnamed, { force: true });
  await listen(server, unnamed);
  chmodSync(unnamed, 0o600);
  renameSync(unnamed, RUN_FILES.socket);
  return {
    publish: (state) => {
      line = toLine(state);
      for (const socket of listeners) socket.write(line);
    },
  };
}

function toLine(state: SupervisorState): string {
  return `${JSON.stringify(state)}\n`;
}

/** Reads `stop <reason>` lines. */
function readStop(socket: Socket, onStop: (reason: string) => void): void {
  let text = "";
  socket.setEncoding("utf8");
  socket.on("data", (chunk: string) => {
    text = (text + chunk).slice(0, 4096);
    const match = /^stop(?: (.*))?\n/.exec(text);
    if (match !== null) onStop(match[1] ?? "");
  });
}

async function listen(server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(error.code === "EADDRINUSE" ? new RunIsTaken("this run is running", { cause: error }) : error),
    );
    server.listen(path, resolve);
  });
}
