/**
 * Process launchers over temporary data directories, with stand-in phases: tiny programs that do what a
 * test needs of them. Everything that was started is ended with the test.
 */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { TestContext } from "node:test";
import { pino } from "pino";
import type { JobEnd, Launcher, LaunchSpec, Observation } from "../../engine/launch/launcher.ts";
import { createProcessLauncher, type ProcessLauncherSettings } from "../../engine/launch/process/process-launcher.ts";

export const isRoot = process.getuid?.() === 0;
export const needsRoot = isRoot ? false : "only root can give runs users of their own";

/** First user id in tests, away from the default so that a real engine on this machine is not disturbed. */
const TEST_UID_BASE = 1_800_000_000;

export type StandIns = Partial<Record<"checkout" | "agent" | "publish", string>>;

export interface Bench {
  dataDir: string;
  launcher: Launcher;
  settings: ProcessLauncherSettings;
  /** Where stand-ins leave what they saw; every user may write there. */
  notes: string;
  /** The directory of a job. */
  directory(jobName: string): string;
  /** A file that a stand-in left. */
  note(name: string): string;
}

/** A temporary directory that every user may pass, removed at the end. */
export function temporaryDirectory(t: TestContext, mode = 0o755): string {
  const directory = makeDirectory(mode);
  t.after(() => removeDirectory(directory));
  return directory;
}

function makeDirectory(mode: number): string {
  const directory = mkdtempSync(join(tmpdir(), "myzel-launcher-"));
  chmodSync(directory, mode);
  return directory;
}

function removeDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
}

/** A launcher whose phases are these programs (TypeScript, as modules); a phase without one does nothing. */
export function openBench(t: TestContext, phases: StandIns, changes: Partial<ProcessLauncherSettings> = {}): Bench {
  const directory = makeDirectory(0o755);
  const notes = join(directory, "notes");
  mkdirSync(notes);
  chmodSync(notes, 0o777);
  const dataDir = join(directory, "data");
  const settings: ProcessLauncherSettings = {
    dataDir,
    podDatabaseUrl: "postgres://pod:database-password@127.0.0.1/myzel",
    runUidBase: TEST_UID_BASE,
    claudeToken: "claude-token-of-the-test",
    environment: { ...process.env },
    log: pino({ level: process.env["MYZEL_TEST_LOG"] ?? "silent" }),
    workerImageDir: writeWorkerImage(join(directory, "worker-image"), phases, notes),
    ...changes,
  };
  const launcher = createProcessLauncher(settings);
  // In one hook, for hooks run in the order in which they were made: the runs end before their directory goes.
  t.after(async () => {
    await endAll(launcher);
    await launcher.close();
    removeDirectory(directory);
  });
  return {
    dataDir,
    launcher,
    settings,
    notes,
    directory: (jobName) => join(dataDir, "runs", jobName),
    note: (name) => readFileSync(join(notes, name), "utf8"),
  };
}

/** Another launcher over the same settings, as the next engine has it. */
export function openLauncher(t: TestContext, settings: ProcessLauncherSettings): Launcher {
  const launcher = createProcessLauncher(settings);
  t.after(() => launcher.close());
  return launcher;
}

export function launchSpec(changes: Partial<LaunchSpec> = {}): LaunchSpec {
  const taskId = randomUUID();
  return {
    runId: randomUUID(),
    taskId,
    attempt: 1,
    addressee: "tester",
    jobName: `task-${taskId}-1`,
    token: "run-token-0123456789abcdef",
    repoUrl: null,
    deadlineSeconds: 120,
    credential: { name: "default", env_var: null, file_path: null, secret_name: null, secret_key: null },
    image: null,
    cpu: null,
    memory: null,
    ...changes,
  };
}

/** The job's end, once it has one. */
export async function waitForEnd(launcher: Launcher, jobName: string, timeoutMs = 60_000): Promise<JobEnd> {
  const ended = await waitFor(
    `${jobName} to end`,
    async () => {
      const seen = await observation(launcher, jobName);
      return seen?.state === "ended" ? seen : undefined;
    },
    timeoutMs,
  );
  if (ended.end === null) throw new Error("an ended job has no end");
  return ended.end;
}

export async function observation(launcher: Launcher, jobName: string): Promise<Observation | undefined> {
  return (await launcher.observe()).find((seen) => seen.jobName === jobName);
}

/** The first defined answer; fails after the deadline. */
export async function waitFor<T>(
  what: string,
  look: () => Promise<T | undefined> | T | undefined,
  timeoutMs = 60_000,
): Promise<T> {
  for (const until = performance.now() + timeoutMs; ;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > until) throw new Error(`waited in vain for ${what}`);
    await delay(20);
  }
}

/** The content of a note, once a stand-in has written it whole. */
export function waitForNote(bench: Bench, name: string): Promise<string> {
  return waitFor(`the note ${name}`, () => {
    try {
      return bench.note(name) || undefined;
    } catch {
      return undefined;
    }
  });
}

/** `note(name, text)` is what stand-ins leave their findings with. */
function writeWorkerImage(directory: string, phases: StandIns, notes: string): string {
  const prelude = [
    'import * as fs from "node:fs"; import * as cp from "node:child_process"; import { join } from "node:path";',
    `const notes = ${JSON.stringify(notes)};`,
    `const note = (name: string, text: unknown) => { const path = join(${JSON.stringify(notes)}, name); fs.writeFileSync(path + ".new", String(text)); fs.renameSync(path + ".new", path); };`,
    "const forever = () => setInterval(() => undefined, 1000);",
  ].join("\n");
  mkdirSync(join(directory, "phases"), { recursive: true });
  writeFileSync(join(directory, "package.json"), '{"type":"module"}');
  for (const phase of ["checkout", "agent", "publish"] as const) {
    writeFileSync(join(directory, "phases", `${phase}.ts`), `${prelude}\n${phases[phase] ?? ""}\n`);
  }
  return directory;
}

async function endAll(launcher: Launcher): Promise<void> {
  for (const { jobName, state } of await launcher.observe()) {
    if (state !== "ended") await launcher.stop(jobName, "the test is over");
  }
  await waitFor(
    "all jobs to end",
    async () => (await launcher.observe()).every(({ state }) => state === "ended") || undefined,
  );
  for (const { jobName } of await launcher.observe()) await launcher.remove(jobName);
}
