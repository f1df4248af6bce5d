/**
 * The course of one run inside its supervisor: take the run, checkout, agent, publish, write the end.
 *
 * A phase starts only when nothing of the one before is alive. A phase that does not exit with 0 is the
 * last one. Where the run ends after its agent began and before publish, that still gets a moment to keep what there is.
 */
import { jobEnd } from "../../domain/job.ts";
import { chownSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { EXIT, PHASES, WORKSPACE, type Phase } from "../../../worker-image/contract.ts";
import type { JobEnd, PhaseEnd } from "../launcher.ts";
import { openControlSocket, takeRun, type ControlSocket, type SupervisorState } from "./control-socket.ts";
import { endProcesses, type RunProcesses } from "./end-processes.ts";
import { findGitLogin } from "./git-login.ts";
import { openGitRelay } from "./git-relay.ts";
import { fileUrl, parseRemote } from "./git-remote.ts";
import { fillMirror } from "./mirror.ts";
import { networkVariables, phaseEnvironment, type PhaseFacts } from "./phase-environment.ts";
import { runPhase } from "./phase-process.ts";
import { removeTree } from "./remove-tree.ts";
import { RUN_FILES, writeJson } from "./run-directory.ts";
import type { RunRecord, RunSecrets, SupervisorRecord } from "./run-directory.ts";
import { createRunEnding, type EndingCause, type RunEnding } from "./run-ending.ts";
import { openRunLog, type RunLog } from "./run-log.ts";
import { copyLogin, secretValues } from "./run-logins.ts";
import { setSpaceAside, storeEnd } from "./store-end.ts";

const LOG_TAIL_BYTES = 8_192;

/** What publish gets to keep the work of a run that never came to it. */
const KEEP_LIMIT_MS = 60_000;

export interface RunToSupervise {
  directory: string;
  record: RunRecord;
  secrets: RunSecrets;
  supervisor: SupervisorRecord;
  directoryIsThere: () => boolean;
  /** Called once the run is sure to go on without the engine. */
  ready: () => void;
}

interface LiveRun extends RunToSupervise {
  ending: RunEnding;
  control: ControlSocket;
  log: RunLog;
  facts: PhaseFacts;
  processes: Omit<RunProcesses, "sessions">;
}

/**
 * Runs the run. Returns when nothing of it is alive and its end is stored (or its directory is gone).
 * @throws RunIsTaken
 */
export async function superviseRun(run: RunToSupervise): Promise<void> {
  const ending = createRunEnding(run.record.deadlineSeconds, run.directoryIsThere);
  let stopReason = "";
  await takeRun(run.record.runId);
  writeJson(RUN_FILES.supervisor, run.supervisor);
  const control = await openControlSocket(stateOf(run, "starting", null), (reason) => {
    stopReason = reason;
    ending.end("stopped");
  });
  run.ready();
  setSpaceAside();

  const live = await prepare(run, ending, control);
  const ended = await runPhases(live);
  control.publish(stateOf(run, "ending", null));
  if (isToKeep(ended.phases, ending.cause())) await keepWork(live);
  await endProcesses({ ...live.processes, sessions: [] });
  rmSync(RUN_FILES.claude, { recursive: true, force: true });
  const cause = ending.cause();
  if (cause !== null) live.log.note(farewell(cause, stopReason));
  live.log.close();
  if (cause !== "deleted") await storeEnd(endOf(ended, cause, live.log), run.directoryIsThere);
}

/** What has to be known and made before the first phase. */
async function prepare(run: RunToSupervise, ending: RunEnding, control: ControlSocket): Promise<LiveRun> {
  const { directory, record, secrets } = run;
  const remote = parseRemote(secrets.repoUrl);
  const gitLogin = await findGitLogin(remote, process.env, ending.signal);
  const claude = secrets.claude;
  if (claude !== null && "directory" in claude) copyLogin(claude.directory, record.uid);
  return {
    ...run,
    ending,
    control,
    log: openRunLog(RUN_FILES.log, secretValues(secrets, gitLogin)),
    facts: {
      directory,
      record,
      podName: run.supervisor.podName,
      token: secrets.token,
      databaseUrl: secrets.databaseUrl,
      gitLogin,
      relay: needsRelay(run),
      relayedUrl: record.uid === null ? null : relayedUrl(secrets.repoUrl),
      network: networkVariables(process.env),
      claude,
      profileSecrets: secrets.profile,
    },
    processes: { runId: record.runId, directory, uid: record.uid, sinceTicks: run.supervisor.startTicks },
  };
}

async function runPhases(run: LiveRun): Promise<{ phases: PhaseEnd[]; outOfMemory: boolean }> {
  const phases: PhaseEnd[] = [];
  for (const phase of PHASES) {
    if (run.ending.signal.aborted) break;
    const { outOfMemory, ...end } = await runOnePhase(phase, run).catch((error: Error) =>
      notStarted(phase, run, error),
    );
    phases.push(end);
    if (end.exitCode !== 0) return { phases, outOfMemory };
    if (phase === "checkout") await keepMirror(run);
  }
  return { phases, outOfMemory: false };
}

/** Whether publish has still to keep what an agent left: not where it was through, nor where the machine takes the run away. */
function isToKeep(phases: readonly PhaseEnd[], cause: EndingCause | null): boolean {
  if (cause === "terminated" || cause === "deleted") return false;
  const last = phases.at(-1);
  if (last?.phase === "agent") return cause !== null || last.exitCode !== 0;
  if (last?.phase !== "publish" || cause === null) return false;
  return last.exitCode !== EXIT.ok && last.exitCode !== EXIT.reportSpooled;
}

/** publish once more, told to keep and not to push. Whatever becomes of it, the run has ended. */
async function keepWork(run: LiveRun): Promise<void> {
  const enough = new AbortController();
  const end = (): void => enough.abort();
  const timer = setTimeout(end, KEEP_LIMIT_MS);
  process.once("SIGTERM", end);
  run.log.note("keeping what the run leaves");
  await runOnePhase("publish", run, enough.signal).catch((error: Error) => notStarted("publish", run, error));
  process.off("SIGTERM", end);
  clearTimeout(timer);
}

/** @param keeping set where publish only keeps: what ends it then */
async function runOnePhase(phase: Phase, run: LiveRun, keeping?: AbortSignal): ReturnType<typeof runPhase> {
  const { record, directory, facts, log, ending } = run;
  if (phase === "publish") await makePublishDirectories(record.uid);
  if (keeping === undefined) {
    run.control.publish(stateOf(run, "running", phase));
    log.note(`${phase} begins`);
  }
  const mirrorIsReady = phase !== "agent" && record.mirror !== null && existsSync(record.mirror.path);
  const mayPush = phase === "publish" && keeping === undefined;
  const closeRelay = phase !== "agent" && facts.relay ? await openRelay(mayPush, run) : null;
  const environment = phaseEnvironment(phase, facts, mirrorIsReady);
  try {
    return await runPhase({
      phase,
      directory,
      record,
      environment: keeping === undefined ? environment : { ...environment, MYZEL_KEEP_ONLY: "1" },
      // The mirror's group, so that checkout and publish may read it and no agent ever can.
      gid: mirrorIsReady ? (record.mirror?.gid ?? null) : null,
      log,
      processes: run.processes,
      signal: keeping ?? ending.signal,
      mayFinish: () => ending.cause() === "stopped" || ending.cause() === "terminated",
    });
  } finally {
    await closeRelay?.();
  }
}

/** What had to be made for the phase could not be made: a full disk, most likely. */
function notStarted(phase: Phase, { log }: LiveRun, error: Error): Awaited<ReturnType<typeof runPhase>> {
  const message = log.masker.text(`The phase ${phase} could not be started: ${error.message}`);
  log.note(message);
  return { phase, exitCode: null, signal: null, message, outOfMemory: false };
}

/** SSH remotes always, for the keys stay here; file remotes where the run's user is another than theirs. */
function needsRelay({ secrets, record }: RunToSupervise): boolean {
  const { kind } = parseRemote(secrets.repoUrl);
  return kind === "ssh" || (kind === "file" && record.uid !== null);
}

/** The address of a file remote as git is told it; null for every other. */
function relayedUrl(repoUrl: string | null): string | null {
  if (repoUrl === null || parseRemote(repoUrl).kind !== "file") return null;
  return repoUrl.startsWith("/") ? fileUrl(repoUrl) : repoUrl;
}

async function openRelay(mayPush: boolean, { secrets, record }: LiveRun): Promise<(() => Promise<void>) | null> {
  const remote = parseRemote(secrets.repoUrl);
  if (remote.kind !== "ssh" && remote.kind !== "file") return null;
  return openGitRelay({ remote, mayPush, record, environment: process.env });
}

async function keepMirror({ record, directory, ending, log }: LiveRun): Promise<void> {
  if (record.mirror === null) return;
  const problem = await fillMirror(record.mirror, join(directory, RUN_FILES.work, WORKSPACE.repo), ending.signal);
  if (problem !== null) log.note(problem);
}

/** Made when the agent is dead, and anew, so that nothing of the agent's lies in them. */
async function makePublishDirectories(uid: number | null): Promise<void> {
  for (const name of [RUN_FILES.private, RUN_FILES.publishHome, RUN_FILES.spool]) {
    await removeTree(name);
    mkdirSync(name, { mode: 0o700 });
    if (uid !== null) chownSync(name, uid, uid);
  }
}

function endOf(
  { phases, outOfMemory }: { phases: PhaseEnd[]; outOfMemory: boolean },
  cause: EndingCause | null,
  log: RunLog,
): JobEnd {
  return jobEnd({
    phases,
    deadlineExceeded: cause === "deadline",
    stopped: cause === "stopped",
    outOfMemory,
    gone: cause === "terminated" ? "vanished" : null,
    logTail: log.tail(LOG_TAIL_BYTES) || null,
  });
}

function farewell(cause: EndingCause, reason: string): string {
  switch (cause) {
    case "stopped":
      return `stopped${reason === "" ? "" : `: ${reason}`}`;
    case "deadline":
      return "ended: its time is up";
    case "terminated":
      return "ended: this machine asked the supervisor to end";
    case "deleted":
      return "ended: its directory was removed";
  }
}

function stateOf(run: RunToSupervise, state: SupervisorState["state"], phase: Phase | null): SupervisorState {
  return { runId: run.record.runId, podName: run.supervisor.podName, state, phase };
}
