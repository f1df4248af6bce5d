/**
 * The Postgres server of a test run: an embedded one that all test processes of this checkout share, or
 * the server that MYZEL_TEST_DATABASE_URL names (a superuser's URL).
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import type { OwnerAnswer } from "./cluster-owner.ts";

const CHECKOUT = join(import.meta.dirname, "..", "..");
const START_TIMEOUT_MS = 60_000;

let shared: Promise<string> | undefined;

/** URL of the server's superuser, database `postgres`. The server stays at least as long as this process. */
export function testClusterUrl(): Promise<string> {
  return (shared ??= findCluster());
}

async function findCluster(): Promise<string> {
  const given = process.env["MYZEL_TEST_DATABASE_URL"];
  if (given) return given;
  const key = createHash("sha256").update(`${CHECKOUT}\n${tmpdir()}\n${userInfo().uid}`).digest("hex").slice(0, 12);
  const name = `myzel-test-${key}`;
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (performance.now() < deadline) {
    const socket = await connectTo(name);
    if (socket === null) await spawnOwner(name, join(tmpdir(), name));
    else {
      const answer = await firstLine(socket);
      if (answer?.error !== undefined) throw new Error(`the test database did not start: ${answer.error}`);
      if (answer?.adminUrl !== undefined) return answer.adminUrl;
    }
    await delay(50);
  }
  throw new Error(`the test database did not start within ${START_TIMEOUT_MS / 1000} s`);
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

/** The owner's answer; null where it is about to end. The socket stays open, and keeps nobody alive. */
async function firstLine(socket: Socket): Promise<OwnerAnswer | null> {
  for await (const line of createInterface({ input: socket })) {
    socket.on("error", () => {});
    socket.unref();
    return JSON.parse(line) as OwnerAnswer;
  }
  return null;
}

async function spawnOwner(name: string, directory: string): Promise<void> {
  const program = join(import.meta.dirname, "cluster-owner.ts");
  // No test runner's variables: the owner is no test.
  const { PATH = "", HOME = "/", TMPDIR = "" } = process.env;
  const env = { PATH, HOME, ...(TMPDIR === "" ? {} : { TMPDIR }) };
  const child = spawn(process.execPath, [program, name, directory], { detached: true, stdio: "ignore", cwd: "/", env });
  child.unref();
  await once(child, "spawn");
}
