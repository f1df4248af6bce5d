/** A program that runs until machine.ts ends it; this process need not wait for it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { open, readFile } from "node:fs/promises";
import { basename } from "node:path";

export interface Daemon {
  /** @throws Error with the end of its log, where it has ended by itself */
  checkAlive(): Promise<void>;
}

export async function startDaemon(options: {
  program: string;
  args: readonly string[];
  /** What the command begins with (NodeNetwork.enter). */
  enter?: readonly string[];
  /** PATH of the program. */
  path: string;
  environment?: Readonly<Record<string, string>>;
  logFile: string;
}): Promise<Daemon> {
  const { program, args, enter = [], path, environment = {}, logFile } = options;
  const [first = "", ...rest] = [...enter, program, ...args];
  const log = await open(logFile, "a", 0o600);
  const child = spawn(first, rest, {
    cwd: "/",
    env: { ...environment, PATH: path },
    stdio: ["ignore", log.fd, log.fd],
  });
  child.unref();
  await once(child, "spawn");
  await log.close();
  return {
    checkAlive: async () => {
      if (child.exitCode === null && child.signalCode === null) return;
      const lines = (await readFile(logFile, "utf8")).trimEnd().split("\n");
      throw new Error(`${basename(program)} has ended by itself:\n${lines.slice(-15).join("\n")}`);
    },
  };
}
