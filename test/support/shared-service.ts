/**
 * A server that all test processes of this checkout share. The first that needs it starts its owner (service-owner.ts),
 * in a session of its own; each holds a connection to the owner's socket for as long as it lives.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import type { OwnerMessage } from "./service-owner.ts";

const CHECKOUT = join(import.meta.dirname, "..", "..");

export interface SharedService {
  /** Part of the names of its socket and its directory. */
  readonly name: string;
  /** The program that owns it. */
  readonly owner: string;
  readonly startTimeoutMs: number;
}

/**
 * What the owner says of its server, which stays at least as long as this process.
 * @throws Error with the reason, where it does not start
 */
export async function sharedService<Answer>({ name, owner, startTimeoutMs }: SharedService): Promise<Answer> {
  const key = createHash("sha256").update(`${CHECKOUT}\n${tmpdir()}\n${userInfo().uid}`).digest("hex").slice(0, 12);
  const socketName = `myzel-${name}-${key}`;
  const deadline = performance.now() + startTimeoutMs;
  let child: ChildProcess | null = null;
  while (performance.now() < deadline) {
    const socket = await connectTo(socketName);
    if (socket === null) {
      // One at a time: one too many that is slow to start would take the name when the owner is gone.
      if (child === null || hasEnded(child)) child = await spawnOwner(owner, [socketName, join(tmpdir(), socketName)]);
    } else {
      const message = await firstMessage<Answer>(socket);
      if (message?.error !== undefined) throw new Error(`${name} did not start: ${message.error}`);
      if (message?.answer !== undefined) return message.answer;
    }
    await delay(50);
  }
  throw new Error(`${name} did not start within ${startTimeoutMs / 1000} s`);
}

async function connectTo(name: string): Promise<Socket | null> {
  const socket = connect(`\0${name}`);
  try {
    await once(socket, "connect");
    return socket;
  } catch {
    return null;
  }
}

/** Null where the owner is about to end, or ended before it took the call. The socket stays open, and keeps nobody alive. */
async function firstMessage<Answer>(socket: Socket): Promise<OwnerMessage<Answer> | null> {
  socket.on("error", () => {});
  try {
    for await (const line of createInterface({ input: socket })) {
      socket.unref();
      return JSON.parse(line) as OwnerMessage<Answer>;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
  }
  return null;
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

async function spawnOwner(program: string, options: readonly string[]): Promise<ChildProcess> {
  // No test runner's variables: the owner is no test.
  const { PATH = "", HOME = "/", TMPDIR, XDG_CACHE_HOME } = process.env;
  const env = { PATH, HOME, ...(TMPDIR && { TMPDIR }), ...(XDG_CACHE_HOME && { XDG_CACHE_HOME }) };
  const child = spawn(process.execPath, [program, ...options], { detached: true, stdio: "ignore", cwd: "/", env });
  child.unref();
  await once(child, "spawn");
  return child;
}
