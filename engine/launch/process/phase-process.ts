/**
 * One phase: starts it as the run's user in a session of its own, copies what it says to the log, ends
 * it when the run is to end, and returns when nothing of the run is alive any more.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { chownSync, existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Phase, PhaseEnvironment } from "../../../worker-image/contract.ts";
import type { PhaseEnd } from "../launcher.ts";
import { endProcesses, type RunProcesses } from "./end-processes.ts";
import { terminationLog } from "./phase-environment.ts";
import { outOfMemoryKills } from "./proc.ts";
import { readUntrusted, RUN_FILES, type RunRecord } from "./run-directory.ts";
import type { RunLog } from "./run-log.ts";

/** Between the request to end and the kill. */
const STOP_GRACE_MS = 10_000;

const MAX_MESSAGE_BYTES = 4_096;

/** A part of util-linux; where it is there, no program that the agent starts gains rights by its file's mode. */
const SETPRIV = "/usr/bin/setpriv";

export interface PhaseRun {
  phase: Phase;
  directory: string;
  record: RunRecord;
  environment: PhaseEnvironment;
  /** Group of the phase where the run has a user of its own; null: the user's. */
  gid: number | null;
  log: RunLog;
  processes: Omit<RunProcesses, "sessions">;
  /** Ends the phase; its reason says whether it is asked first. */
  signal: AbortSignal;
  /** Whether the reason allows the phase its grace. */
  mayFinish: () => boolean;
}

/**
 * Runs one phase to its end.
 * @throws Error where it could not be started; nothing of it runs then
 */
export async function runPhase(run: PhaseRun): Promise<PhaseEnd & { outOfMemory: boolean }> {
  const message = terminationLog(run.directory, run.phase);
  const killsBefore = outOfMemoryKills();
  makeTerminationLog(message, run.record.uid);
  const child = startPhase(run);
  const copied = [child.stdout, child.stderr].map((stream) =>
    stream === null ? Promise.resolve() : run.log.copy(stream),
  );
  const exited = new Promise<{ code: number | null; signal: string | null } | Error>((resolve) => {
    child.on("error", resolve);
    child.on("exit", (code, signal) => resolve({ code, signal }));
  });
  const processes = { ...run.processes, sessions: child.pid === undefined ? [] : [child.pid] };
  let ending: Promise<void> | undefined;
  const end = (): void => {
    ending = endPhase(run, child, exited, processes);
  };
  if (run.signal.aborted) end();
  run.signal.addEventListener("abort", end, { once: true });
  const ended = await exited;
  // What comes later is meant for the next phase, whose processes look just the same.
  run.signal.removeEventListener("abort", end);
  await ending;
  await endProcesses(processes);
  // Whoever still held the other end is dead: what is left in the pipes comes at once.
  await Promise.race([Promise.all(copied), delay(2_000, undefined, { ref: false })]);
  if (ended instanceof Error) throw ended;
  const said = readUntrusted(message, MAX_MESSAGE_BYTES)?.trim();
  return {
    phase: run.phase,
    exitCode: ended.code,
    signal: ended.signal,
    message: said ? run.log.masker.text(said) : null,
    outOfMemory: ended.signal === "SIGKILL" && !run.signal.aborted && outOfMemoryKills() > killsBefore,
  };
}

function startPhase({ phase, directory, record, environment, gid }: PhaseRun): ChildProcess {
  const program = [record.node, join(record.workerImage, "phases", `${phase}.ts`)];
  const words = record.uid !== null && existsSync(SETPRIV) ? [SETPRIV, "--no-new-privs", "--", ...program] : program;
  return spawn(words[0] ?? record.node, words.slice(1), {
    cwd: join(directory, RUN_FILES.work),
    env: environment,
    // A session of its own: no terminal, and one name for all that does not run away.
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    ...(record.uid === null ? {} : { uid: record.uid, gid: gid ?? record.uid }),
  });
}

/** Asks, waits, kills. */
async function endPhase(
  run: PhaseRun,
  child: ChildProcess,
  exited: Promise<unknown>,
  processes: RunProcesses,
): Promise<void> {
  if (run.mayFinish() && child.pid !== undefined) {
    try {
      process.kill(-child.pid, "SIGTERM");
    } catch {
      // Gone meanwhile.
    }
    const grace = new AbortController();
    await Promise.race([exited, delay(STOP_GRACE_MS, undefined, { signal: grace.signal }).catch(() => undefined)]);
    grace.abort();
  }
  await endProcesses(processes);
}

function makeTerminationLog(path: string, uid: number | null): void {
  rmSync(path, { force: true });
  writeFileSync(path, "", { mode: 0o600, flag: "wx" });
  if (uid !== null) chownSync(path, uid, uid);
}
