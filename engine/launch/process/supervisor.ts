/**
 * One run, from its first phase to its end: a process of its own, so that the engine may come and go.
 *
 * Started with the run's directory as its only argument and the secrets on standard input. Guarantees
 * that a run is supervised once, that `end.json` is written only when no process of the run is left,
 * and that everything ends at the deadline, on request, and where the directory is deleted. One of it
 * lives beside every run, so it imports little.
 */
import { closeSync, existsSync, statSync, writeSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { hostname } from "node:os";
import { text } from "node:stream/consumers";
import { EXIT_TAKEN, RunIsTaken } from "./control-socket.ts";
import { processInfo } from "./proc.ts";
import { readJson, RUN_FILES, type RunRecord, type RunSecrets } from "./run-directory.ts";
import { superviseRun } from "./run-phases.ts";

/** The launcher reads here whether the run has begun. */
const READY_FD = 3;

const directory = process.argv[2] ?? "";
// Relative names reach the directory by whatever path it has, and a socket's name fits in its 107 bytes.
process.chdir(directory);
process.umask(0o022);
// A person's Ctrl-C and a closed terminal are the engine's business.
process.on("SIGINT", () => undefined);
process.on("SIGHUP", () => undefined);

try {
  const secrets = JSON.parse(await text(process.stdin)) as RunSecrets;
  const record = readJson<RunRecord>(RUN_FILES.record);
  if (record === null) throw new Error("the run's directory has no spec.json");
  await superviseRun({
    directory,
    record,
    secrets,
    supervisor: {
      pid: process.pid,
      podName: `${hostname()}/${process.pid}`,
      startTicks: processInfo("self")?.startTicks ?? 0,
    },
    directoryIsThere,
    ready: tellLauncher,
  });
  // Everything is stored, and the run counts as live for as long as this process is there. Node's own way out may wait for
  // its threads for ever (seen once on a busy machine, Node 24.21: all of them in a futex, a quarter of an hour after the end).
  process.kill(process.pid, "SIGKILL");
} catch (error) {
  if (error instanceof RunIsTaken) process.exit(EXIT_TAKEN);
  // No secret gets here: what is parsed is never part of the message that is printed.
  const why = error instanceof SyntaxError ? "the secrets did not arrive whole" : (error as Error).stack;
  process.stderr.write(`${why}\n`);
  process.exit(1);
}

function tellLauncher(): void {
  try {
    writeSync(READY_FD, "ready\n");
  } catch {
    // The engine has ended meanwhile; the run goes on without it.
  }
  // Closed, so that no phase inherits it.
  closeSync(READY_FD);
  // Now: the next supervisor may start long before this one has ended, and nothing is written on the way out.
  flushCompileCache();
}

/** False once somebody has removed or moved the directory. Its number alone proves nothing: a new directory may get it again. */
function directoryIsThere(): boolean {
  const byName = statSync(directory, { throwIfNoEntry: false });
  const own = statSync(".", { throwIfNoEntry: false });
  return byName !== undefined && byName.ino === own?.ino && existsSync(RUN_FILES.record);
}
