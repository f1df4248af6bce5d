/** How the process of a phase ends: with its exit code, with all that it printed, and whatever its threads do. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, test } from "node:test";

const PHASE_PROGRAM = pathToFileURL(join(import.meta.dirname, "../../worker-image/phase-program.ts")).href;
/** Who has not ended by then hangs. */
const HANGS_MS = 60_000;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "myzel-phase-end-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Starts a program whose phase does this and ends with exit code 22. */
function startPhase(body: string) {
  const path = join(directory, "phase.ts");
  const lines = [
    'import * as fs from "node:fs";',
    `import { runPhaseProgram } from "${PHASE_PROGRAM}";`,
    `await runPhaseProgram(async () => { ${body} return { exitCode: 22, message: "The last word." }; });`,
  ];
  writeFileSync(path, lines.join("\n"));
  const log = join(directory, "termination-log");
  return spawn(process.execPath, [path], {
    env: { MYZEL_TERMINATION_LOG: log },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: HANGS_MS,
    killSignal: "SIGKILL",
  });
}

test("a phase ends with its exit code though a thread of its process hangs", async () => {
  // Nobody ever writes there, so opening it never returns; Node would wait for that.
  const fifo = join(directory, "fifo");
  assert.equal(spawnSync("mkfifo", [fifo]).status, 0);
  const child = startPhase(`fs.open(${JSON.stringify(fifo)}, "r", () => {});`);
  const [stderr, [code, signal]] = await Promise.all([text(child.stderr), once(child, "exit")]);
  assert.deepEqual([code, signal, stderr], [22, null, "The last word.\n"]);
});

test("all that a phase printed reaches a reader that comes late", async () => {
  const child = startPhase('process.stdout.write("x".repeat(1_000_000) + "\\n");');
  // By its last word it has printed the rest, as far as its pipe took it.
  const [stderr] = await once(child.stderr, "data");
  assert.equal(String(stderr), "The last word.\n");
  const [stdout, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  assert.deepEqual([code, stdout.length], [22, 1_000_001]);
});

test("a reader that never reads, or has hung up, keeps no phase", async () => {
  const child = startPhase('process.stdout.write("x".repeat(1_000_000));');
  assert.equal((await once(child, "exit"))[0], 22);
  child.stdout.destroy();
  const deaf = startPhase('process.stdout.write("x".repeat(1_000_000));');
  deaf.stdout.destroy();
  deaf.stderr.destroy();
  assert.equal((await once(deaf, "exit"))[0], 22);
});
