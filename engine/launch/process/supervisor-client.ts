/** The engine's side of a supervisor's socket: is it alive, what does it do, make it stop. */
import { closeSync, constants, existsSync, openSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { join } from "node:path";
import type { SupervisorState } from "./control-socket.ts";
import { RUN_FILES } from "./run-directory.ts";

/** `absent`: never started. `gone`: started, and dead. `alive` without a state: it lives but did not answer in time. */
export type Probe = { life: "absent" } | { life: "gone" } | { life: "alive"; state: SupervisorState | null };

/** A supervisor that is alive but says nothing (a stopped one) is waited for so long. */
const ANSWER_MS = 1_000;

/** Looks at the supervisor of a run directory. */
export function probeSupervisor(directory: string): Promise<Probe> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connectTo(directory);
    const answer = (probe: Probe): void => {
      socket.destroy();
      resolve(probe);
    };
    socket.setTimeout(ANSWER_MS, () => answer({ life: "alive", state: null }));
    socket.on("error", (error: NodeJS.ErrnoException) => answer(afterError(error, directory)));
    // Closed before it said anything: it was alive when we connected, and is looked at again.
    socket.on("close", () => answer({ life: "alive", state: null }));
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      text += chunk;
      if (text.includes("\n")) answer({ life: "alive", state: firstLine(text) });
    });
  });
}

/**
 * Calls `changed` at every line and when the supervisor has gone, after which it is not called again.
 * Returns the way to let go, which does not call it.
 */
export function followSupervisor(directory: string, changed: (event: "line" | "gone") => void): () => void {
  const socket = connectTo(directory);
  let over = false;
  const gone = (): void => {
    if (over) return;
    over = true;
    changed("gone");
  };
  socket.on("error", () => socket.destroy());
  socket.on("close", gone);
  socket.on("data", () => {
    if (!over) changed("line");
  });
  return () => {
    over = true;
    socket.destroy();
  };
}

/** Asks the supervisor to end its run. A supervisor that is not there is no error. */
export function askToStop(directory: string, reason: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connectTo(directory);
    socket.setTimeout(ANSWER_MS, () => socket.destroy());
    socket.on("error", () => socket.destroy());
    socket.on("close", () => resolve());
    socket.resume();
    // Not closed by us: a socket that is closed with something unread in it takes what it sent along.
    socket.end(`stop ${reason.replaceAll(/\s+/g, " ").slice(0, 1000)}\n`);
  });
}

/** Only a refusal proves death: a full backlog or a time-out is a supervisor that is busy. */
function afterError(error: NodeJS.ErrnoException, directory: string): Probe {
  if (error.code === "ECONNREFUSED") return { life: "gone" };
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return { life: "absent" };
  return existsSync(join(directory, RUN_FILES.socket)) ? { life: "alive", state: null } : { life: "absent" };
}

/** Connects by way of the directory's descriptor: a socket's own path may have 107 bytes only. */
function connectTo(directory: string): Socket {
  let descriptor: number | null = null;
  try {
    descriptor = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch {
    return createConnection({ path: join("/nonexistent", RUN_FILES.socket) });
  }
  const opened = descriptor;
  const socket = createConnection({ path: `/proc/self/fd/${opened}/${RUN_FILES.socket}` });
  socket.once("close", () => closeSync(opened));
  return socket;
}

function firstLine(text: string): SupervisorState | null {
  try {
    return JSON.parse(text.slice(0, text.indexOf("\n"))) as SupervisorState;
  } catch {
    return null;
  }
}
