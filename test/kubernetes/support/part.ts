/** One part of the test cluster: a process that may be stopped and started again, and never outlives this one. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";

export interface Part {
  readonly name: string;
  /** Null while it is stopped. */
  readonly pid: number | null;
  /** @throws Error with the end of its log, where it has ended by itself */
  checkAlive(): Promise<void>;
  start(): Promise<void>;
  /** At once, as a crash would: nothing of the part is asked. */
  kill(): Promise<void>;
}

/** A part that is not started yet. Its log lies in `directory`, and goes on from start to start. */
export function makePart(options: {
  program: string;
  name: string;
  flags: readonly string[];
  directory: string;
  /** What the command begins with, where it runs in another network. */
  enter?: readonly string[];
}): Part {
  const { program, name, flags, directory, enter = [] } = options;
  const [first = "", ...rest] = [...enter, program, name, ...flags];
  const logFile = join(directory, `${name}.log`);
  let child: ChildProcess | null = null;
  return {
    name,
    get pid() {
      return child?.pid ?? null;
    },
    async start() {
      const log = await open(logFile, "a", 0o600);
      child = spawn(first, rest, {
        cwd: directory,
        env: { PATH: process.env["PATH"], HOME: directory, MYZEL_TEST_END_WITH_STDIN: "1" },
        stdio: ["pipe", log.fd, log.fd],
      });
      // It is its owner who says when this process may end.
      child.unref();
      (child.stdin as unknown as { unref(): void }).unref();
      await once(child, "spawn");
      await log.close();
    },
    async checkAlive() {
      if (child === null || (child.exitCode === null && child.signalCode === null)) return;
      const lines = (await readFile(logFile, "utf8")).trimEnd().split("\n");
      throw new Error(`${name} of the test cluster has ended by itself:\n${lines.slice(-15).join("\n")}`);
    },
    async kill() {
      const ending = child;
      child = null;
      if (ending === null || ending.exitCode !== null || ending.signalCode !== null) return;
      ending.ref();
      ending.kill("SIGKILL");
      await once(ending, "exit");
    },
  };
}
