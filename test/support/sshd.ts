/** An sshd on loopback, on a port that it has really got. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { eventually } from "./waiting.ts";

/** Somebody else may take the port between our look and sshd's. */
const TRIES = 5;

export interface Sshd {
  port: number;
  close(): Promise<void>;
}

/** Starts the program with these settings and a port of its own, written to the file `config`. @throws Error with what it said */
export async function startSshd(program: string, config: string, settings: readonly string[]): Promise<Sshd> {
  for (let left = TRIES; ; left--) {
    const port = await freePort();
    writeFileSync(config, `${["ListenAddress 127.0.0.1", `Port ${port}`, ...settings].join("\n")}\n`);
    const server = spawn(program, ["-D", "-e", "-f", config], { stdio: ["ignore", "ignore", "pipe"] });
    const exited = once(server, "exit");
    const said = await listening(server);
    if (said === null) {
      const close = async (): Promise<void> => {
        server.kill("SIGTERM");
        await exited; // not its output's end: what serves a connection has that too, and may outlive it
        server.stderr.destroy();
      };
      return { port, close };
    }
    if (left === 1 || !said.includes("Address already in use")) throw new Error(`sshd ended: ${said}`);
  }
}

/** Null when it listens; what it said where it has ended instead. */
async function listening(server: ChildProcess): Promise<string | null> {
  let said = "";
  server.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const state = await eventually("sshd listens", () => {
    if (said.includes("Server listening")) return "listening";
    return server.exitCode === null ? undefined : "ended";
  });
  return state === "listening" ? null : said;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
