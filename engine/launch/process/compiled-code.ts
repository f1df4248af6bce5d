/**
 * Compiled code of the programs that runs execute: with it each of them starts 0.1 s earlier, for half the processor time.
 *
 * Where runs have the engine's user they make it themselves, beside that of the supervisors. Where each has a user of its
 * own none may write what another one executes: the engine makes it once, and a run can only read it. Node looks for it
 * under a name that ends in its user's id, so each run has a link of that name.
 */
import { execFile } from "node:child_process";
import { mkdirSync, symlinkSync } from "node:fs";
import { chmod, mkdir, readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { EXIT, PHASES } from "../../../worker-image/contract.ts";
import type { ProcessLauncherSettings } from "./launcher-settings.ts";
import { RUN_FILES, type RunRecord } from "./run-directory.ts";

const MAKE_TIMEOUT_MS = 30_000;

/** As Node names it for a user: version, processor, flags, user. */
const OF_USER = /-\d+$/;

const TELL_DIRECTORY = 'console.log(require("node:module").getCompileCacheDir() ?? "")';

type Programs = Pick<RunRecord, "node" | "workerImage" | "relayClient">;

export interface CompiledCode {
  /**
   * Gives a run its way to the code, in its directory while that is still `fresh`. Never waits.
   * @returns the run's NODE_COMPILE_CACHE; null while there is none: it is being made
   */
  giveTo(run: Programs & Pick<RunRecord, "uid">, where: { fresh: string; directory: string }): string | null;
  close(): Promise<void>;
}

export function compiledCode(settings: ProcessLauncherSettings): CompiledCode {
  const own = join(settings.dataDir, "compiled");
  const closed = new AbortController();
  /** By the programs' place; null while it is made, and where it could not be. */
  const made = new Map<string, string | null>();
  let making = Promise.resolve();

  const begin = (key: string, programs: Programs): void => {
    made.set(key, null);
    making = making
      .then(() => make(join(own, "runs"), programs, closed.signal))
      .then((directory) => void made.set(key, directory))
      .catch((error: unknown) => {
        if (!closed.signal.aborted) settings.log.warn({ err: error }, "compiled code of the phases could not be made");
      });
  };
  return {
    giveTo(run, { fresh, directory }) {
      if (run.uid === null) return own;
      // Only our own programs are known to end at once.
      if (settings.workerImageDir !== undefined) return null;
      const key = `${run.node} ${run.workerImage}`;
      if (!made.has(key)) begin(key, run);
      const code = made.get(key) ?? null;
      if (code === null) return null;
      mkdirSync(join(fresh, RUN_FILES.compiled), { mode: 0o755 });
      symlinkSync(code, join(fresh, RUN_FILES.compiled, basename(code).replace(OF_USER, `-${run.uid}`)));
      return join(directory, RUN_FILES.compiled);
    },
    close() {
      closed.abort();
      return making;
    },
  };
}

/** Starts each program once, as this user and without its variables, so that it ends at once and leaves its code. */
async function make(directory: string, programs: Programs, signal: AbortSignal): Promise<string> {
  await mkdir(directory, { recursive: true });
  const node = async (...words: string[]): Promise<string> => {
    const env = { PATH: process.env["PATH"], NODE_COMPILE_CACHE: directory };
    return outputOf(programs.node, words, env, signal);
  };
  const place = await node("--eval", TELL_DIRECTORY);
  if (dirname(place) !== directory || !OF_USER.test(place)) throw new Error(`Node keeps compiled code at ${place}`);
  const inImage = [...PHASES.map((phase) => join("phases", `${phase}.ts`)), join("mcp", "server.ts")];
  for (const program of inImage) await node(join(programs.workerImage, program)).catch(ofMissingVariables);
  await node(programs.relayClient, "nowhere", "-G");
  for (const path of [dirname(directory), directory, place]) await chmod(path, 0o755);
  for (const name of await readdir(place)) await chmod(join(place, name), 0o644);
  return place;
}

/** Settles when the program is gone: one that is told to end would write for a moment longer. */
async function outputOf(
  program: string,
  words: string[],
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<string> {
  signal.throwIfAborted();
  const options = { cwd: "/", env, timeout: MAKE_TIMEOUT_MS, killSignal: "SIGKILL" } as const;
  const running = promisify(execFile)(program, words, options);
  const end = (): void => void running.child.kill("SIGKILL");
  signal.addEventListener("abort", end);
  try {
    return (await running).stdout.trim();
  } finally {
    signal.removeEventListener("abort", end);
  }
}

function ofMissingVariables(error: { code?: unknown }): void {
  if (error.code !== EXIT.usage) throw error;
}
