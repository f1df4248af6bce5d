/** Runs programs in an image without a node: in a throwaway copy of it, on this machine's network. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { buildah, buildahCommand } from "./buildah.ts";

export interface ImageRun {
  exitCode: number | null;
  /** stdout and stderr. */
  output: string;
}

export interface ImageProcess {
  /** Everything it printed so far. */
  output(): string;
  child: ChildProcess;
  ended: Promise<ImageRun>;
}

export interface CopyOfImage {
  /** Changes the copy, as root. */
  prepare(...command: string[]): Promise<void>;
  /** Starts a command as user 1000, with these variables and no others but the image's. */
  start(
    command: readonly string[],
    options?: { environment?: Record<string, string>; volumes?: Record<string, string> },
  ): ImageProcess;
  remove(): Promise<void>;
}

export async function copyOfImage(name: string): Promise<CopyOfImage> {
  const container = (await buildah("from", "--pull=never", name)).trim();
  return {
    prepare: async (...command) => {
      await buildah("run", "--user", "0:0", container, "--", ...command);
    },
    start: (command, { environment = {}, volumes = {} } = {}) => {
      const variables = Object.entries(environment).flatMap(([key, value]) => ["--env", `${key}=${value}`]);
      const mounts = Object.entries(volumes).flatMap(([from, to]) => ["--volume", `${from}:${to}`]);
      const args = ["run", "--user", "1000:1000", ...variables, ...mounts, container, "--", ...command];
      const { program, options, environment: buildahs } = buildahCommand(args);
      const child = spawn(program, options, {
        env: { ...process.env, ...buildahs },
        stdio: ["ignore", "pipe", "pipe"],
      });
      let output = "";
      for (const stream of [child.stdout, child.stderr])
        stream.on("data", (chunk: Buffer) => (output += String(chunk)));
      const ended = once(child, "close").then(([exitCode]) => ({ exitCode: exitCode as number | null, output }));
      return { child, output: () => output, ended };
    },
    remove: async () => {
      await buildah("rm", container);
    },
  };
}
