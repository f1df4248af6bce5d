/**
 * Starts a run: its directory first, whole or not at all, then its supervisor, which takes the run
 * before it tells us. Whatever step a crash hits, the next call with the same run goes on from there,
 * and no two supervisors ever run one run.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chownSync, closeSync, existsSync, mkdirSync, openSync, renameSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { LaunchError, type LaunchSpec } from "../launcher.ts";
import { locateClaude, searchPath } from "./claude-cli.ts";
import { resolveCredential } from "./claude-credential.ts";
import type { CompiledCode } from "./compiled-code.ts";
import { parseRemote } from "./git-remote.ts";
import { prepareDataDir, runDirectory, runsHaveUsers, type ProcessLauncherSettings } from "./launcher-settings.ts";
import { mirrorName, mirrorPath } from "./mirror.ts";
import { resolveProfileSecrets } from "./profile-secrets.ts";
import { bootId, readJson, readUntrusted, RUN_FILES, writeJson } from "./run-directory.ts";
import type { RunRecord, RunSecrets, SupervisorRecord } from "./run-directory.ts";
import { noSuchUser, releaseUid, reserveUid, uidRange, type UidRange } from "./run-uids.ts";
import { EXIT_TAKEN } from "./control-socket.ts";
import { probeSupervisor } from "./supervisor-client.ts";
import { checkClaude, kitInPlace, reachableKit, type WorkerKit } from "./worker-kit.ts";

const SUPERVISOR = join(import.meta.dirname, "supervisor.ts");

/** A loaded laptop takes a second to start a Node; whoever takes this long is stuck. */
const START_TIMEOUT_MS = 30_000;

/** How long a supervisor that has the run is waited for. */
const TAKEN_TIMEOUT_MS = 10_000;

const POLL_MS = 100;

/** A core file would hold the secrets of whoever dies, and outlive the run. Node cannot set the limit itself. */
const WITHOUT_CORE_FILES = 'ulimit -c 0; exec "$0" "$@"';

/** Never handed on: the supervisor gets what it needs through its pipe. */
const WITHHELD = /^(MYZEL_|PG|ANTHROPIC_|CLAUDE_|DATABASE_URL$|NODE_)/;

/** CLIs that ran as a run's user, by path: asked once. */
const checkedClaudes = new Set<string>();

/** @throws LaunchError */
export async function startRun(
  spec: LaunchSpec,
  settings: ProcessLauncherSettings,
  compiled: CompiledCode,
): Promise<{ podName: string | null }> {
  const credential = resolveCredential(spec.credential, settings);
  if ("problem" in credential) throw new LaunchError("launch_failed", credential.problem);
  prepareDataDir(settings.dataDir);
  const profile = resolveProfileSecrets(spec, settings);
  const directory = runDirectory(settings.dataDir, spec.jobName);

  const record =
    readJson<RunRecord>(join(directory, RUN_FILES.record)) ?? makeRunDirectory(directory, spec, settings, compiled);
  if (record.runId !== spec.runId) {
    throw new LaunchError("launch_failed", `The directory ${directory} belongs to another run, ${record.runId}.`);
  }
  if (!existsSync(join(directory, RUN_FILES.end))) {
    await startOrJoin(directory, settings, {
      token: spec.token,
      databaseUrl: settings.podDatabaseUrl,
      repoUrl: spec.repoUrl,
      claude: credential.claude,
      profile,
    });
  }
  return { podName: readJson<SupervisorRecord>(join(directory, RUN_FILES.supervisor))?.podName ?? null };
}

/** Builds the directory under another name and puts it in place; where another launch was faster, its one counts. */
function makeRunDirectory(
  directory: string,
  spec: LaunchSpec,
  settings: ProcessLauncherSettings,
  compiled: CompiledCode,
): RunRecord {
  const { dataDir } = settings;
  const fresh = join(dirname(directory), `.new-${spec.jobName}-${randomBytes(6).toString("hex")}`);
  const range = runsHaveUsers() ? uidRange(settings.runUidBase) : null;
  const uid = range === null ? null : reserveUid(dataDir, range, { runId: spec.runId, jobName: spec.jobName });
  try {
    const known = runRecord(spec, settings, range, uid);
    mkdirSync(fresh, { mode: uid === null ? 0o700 : 0o711 });
    const record = { ...known, compiled: compiled.giveTo(known, { fresh, directory }) };
    writeJson(join(fresh, RUN_FILES.record), record);
    for (const name of [RUN_FILES.work, `${RUN_FILES.work}/home`, `${RUN_FILES.work}/tmp`]) {
      makeOwned(join(fresh, name), uid);
    }
    renameSync(fresh, directory);
    return record;
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    const winner = readJson<RunRecord>(join(directory, RUN_FILES.record));
    if (winner !== null) return winner;
    if (uid !== null) releaseUid(dataDir, uid, spec.runId);
    if (error instanceof LaunchError) throw error;
    throw new LaunchError("launch_failed", `The run's directory could not be made: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function runRecord(
  spec: LaunchSpec,
  settings: ProcessLauncherSettings,
  range: UidRange | null,
  uid: number | null,
): Omit<RunRecord, "compiled"> {
  const { dataDir, environment } = settings;
  const kit = worker(settings, uid);
  const hasMirror = spec.repoUrl !== null && parseRemote(spec.repoUrl).kind !== "other" && !settings.cloneDepth;
  return {
    runId: spec.runId,
    jobName: spec.jobName,
    host: hostname(),
    bootId: bootId(),
    uid,
    createdAt: new Date().toISOString(),
    deadlineSeconds: spec.deadlineSeconds,
    ...kit,
    path: phasePath(environment, kit.node),
    lang: environment["LANG"] || "C.UTF-8",
    tz: environment["TZ"] || null,
    modelBaseUrl: settings.modelBaseUrl ?? null,
    cloneDepth: settings.cloneDepth ?? null,
    checksWaitSeconds: settings.checksWaitSeconds ?? null,
    mirror:
      spec.repoUrl === null || !hasMirror
        ? null
        : {
            path: mirrorPath(dataDir, spec.repoUrl),
            gid: range === null ? null : reserveUid(dataDir, range, { mirror: mirrorName(spec.repoUrl) }),
          },
    runUids: range,
  };
}

/** @throws LaunchError where no Claude Code can be had */
function worker(settings: ProcessLauncherSettings, uid: number | null): WorkerKit {
  const claude = locateClaude(settings.environment);
  if (claude === null) {
    throw new LaunchError(
      "launch_failed",
      "There is no Claude Code on this machine: install it with `npm install -g @anthropic-ai/claude-code`.",
    );
  }
  const workerImageDir = settings.workerImageDir ?? join(import.meta.dirname, "../../../worker-image");
  const sources = { node: process.execPath, workerImageDir, claude };
  if (uid === null) return kitInPlace(sources);
  const kit = reachableKit(settings.dataDir, sources);
  if (!checkedClaudes.has(kit.claude)) {
    checkClaude(kit, claude, uid, phasePath(settings.environment, kit.node));
    checkedClaudes.add(kit.claude);
  }
  return kit;
}

/** The user's own tools; our Node comes last, for machines that have none. */
function phasePath(environment: NodeJS.ProcessEnv, node: string): string {
  const directories = searchPath(environment);
  const base = directories.length === 0 ? ["/usr/local/bin", "/usr/bin", "/bin"] : directories;
  return [...base, dirname(node)].join(delimiter);
}

/** @throws LaunchError about MYZEL_RUN_UID_BASE where the user does not exist */
function makeOwned(directory: string, uid: number | null): void {
  mkdirSync(directory, { mode: 0o700 });
  if (uid === null) return;
  try {
    chownSync(directory, uid, uid);
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === "EINVAL" ? noSuchUser(uid) : error;
  }
}

/** Returns once a supervisor has the run: ours, or that of another launch, which was faster. */
async function startOrJoin(directory: string, settings: ProcessLauncherSettings, secrets: RunSecrets): Promise<void> {
  const until = performance.now() + TAKEN_TIMEOUT_MS;
  while ((await probeSupervisor(directory)).life === "absent") {
    if ((await startSupervisor(directory, settings, secrets)) === "ready") return;
    // Taken, by a supervisor that will listen in a moment, or by one whose directory was deleted.
    if (performance.now() > until) {
      throw new LaunchError("launch_failed", "An earlier supervisor of this run is still ending.");
    }
    await delay(POLL_MS);
  }
}

/** @throws LaunchError where it dies for another reason than that the run is taken */
async function startSupervisor(
  directory: string,
  settings: ProcessLauncherSettings,
  secrets: RunSecrets,
): Promise<"ready" | "taken"> {
  const child = spawnSupervisor(directory, settings);
  const exited = new Promise<string>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("exit", (code, signal) => resolve(`it ended with ${code ?? signal}`));
  });
  // A supervisor that died early shows by its exit, not by our broken pipe.
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(JSON.stringify(secrets));
  const timer = setTimeout(() => child.kill("SIGKILL"), START_TIMEOUT_MS);
  const answer = await text(child.stdio[3] as Readable).catch(() => "");
  clearTimeout(timer);
  if (answer === "ready\n") return "ready";
  const how = await exited;
  if (child.exitCode === EXIT_TAKEN) return "taken";
  const said = readUntrusted(join(directory, RUN_FILES.supervisorLog), 2_000, "end")?.trim();
  throw new LaunchError("launch_failed", `The run's supervisor did not start: ${said || how}`);
}

function spawnSupervisor(directory: string, { environment, dataDir }: ProcessLauncherSettings): ChildProcess {
  const passedOn = Object.entries(environment).filter(([name]) => !WITHHELD.test(name));
  const errors = openSync(join(directory, RUN_FILES.supervisorLog), "a", 0o600);
  try {
    const child = spawn("/bin/sh", ["-c", WITHOUT_CORE_FILES, process.execPath, SUPERVISOR, directory], {
      cwd: directory,
      // Compiled once for all supervisors: starts in half the time and spares each the compiler's memory.
      env: { ...Object.fromEntries(passedOn), NODE_COMPILE_CACHE: join(dataDir, "compiled") },
      // A session of its own: neither Ctrl-C in the engine's terminal nor the engine's end reaches it.
      detached: true,
      stdio: ["pipe", "ignore", errors, "pipe"],
    });
    child.unref();
    return child;
  } finally {
    closeSync(errors);
  }
}
