/**
 * Launch: gives every claimed run its job, after the claim has been committed.
 *
 * Launches go on side by side, so that a slow one holds up no other. A launch that is cut off is made
 * again: the job's name derives from task and attempt, and the launcher knows its own.
 */
import { settlementOfLaunchFailure } from "../domain/outcome.ts";
import { runToken } from "../domain/run-token.ts";
import { LaunchError, NoPlaceError } from "../launch/launcher.ts";
import type { LaunchSpec } from "../launch/launcher.ts";
import { StaleEpochError } from "../store/errors.ts";
import { markLaunched, noteWaiting, unlaunchedRuns } from "../store/runs.ts";
import type { UnlaunchedRun } from "../store/runs.ts";
import { settleRuns } from "../store/settle.ts";
import type { Leader } from "./leader.ts";
import type { Tick } from "./loop.ts";

const MOST_AT_ONCE = 16;
/** A launch is noted so much later, many at a time; what has ended by then is settled and needs no note. */
const NOTE_AFTER_MS = 15;
const NOTED_AT_ONCE = 64;
/** Most runs the tick takes up at a time. */
const MOST_FOUND = 256;
/** What checkout and publish may take on top of the agent's own limit. */
const PHASES_AROUND_AGENT_SECONDS = 30 * 60;

export interface Launches {
  /** Queues these runs for launch, those that are queued already left out. */
  begin(runs: readonly UnlaunchedRun[]): void;
  /** Queues what nobody has begun: claimed by an engine that died before the launch, or in a claim whose answer was lost. */
  tick: Tick;
}

/** @param onLaunched called when launches have ended, well or not, and are noted */
export function launches(leader: Leader, onLaunched: (runIds: readonly string[]) => void): Launches {
  const { launching, toLaunch } = leader;
  const launched = (runIds: readonly string[]): void => {
    for (const runId of runIds) launching.delete(runId);
    onLaunched(runIds);
  };
  const note = launchNotes(leader, launched);
  let atOnce = 0;
  const startNext = (): void => {
    while (atOnce < MOST_AT_ONCE && !leader.signal.aborted) {
      const next = toLaunch.values().next().value;
      if (next === undefined) return;
      toLaunch.delete(next.run_id);
      launching.add(next.run_id);
      atOnce++;
      void launchOne(leader, next).then((made) => {
        atOnce--;
        startNext();
        if (made === null) launched([next.run_id]);
        else note(next.run_id, made.podName);
      });
    }
  };
  const begin = (runs: readonly UnlaunchedRun[]): void => {
    for (const run of runs) if (!launching.has(run.run_id)) toLaunch.set(run.run_id, run);
    startNext();
  };
  const tick = async (): Promise<number> => {
    if (toLaunch.size === 0) begin(await unlaunchedRuns(leader.database, leader.host, MOST_FOUND));
    return leader.pollIntervalMs;
  };
  return { begin, tick };
}

/** Never rejects: what fails here (null) is settled, or found again by the next look. */
async function launchOne(leader: Leader, run: UnlaunchedRun): Promise<{ podName: string | null } | null> {
  const log = leader.log.child({ task_id: run.task_id, run_id: run.run_id, attempt: run.attempt });
  try {
    const { podName } = await leader.launcher.launch(specOf(leader, run));
    log.info({ addressee: run.addressee, pod_name: podName }, "launched");
    return { podName };
  } catch (error) {
    if (error instanceof LaunchError) await settleFailedLaunch(leader, run, error).catch(logFailure);
    else if (error instanceof NoPlaceError) await noteNoPlace(leader, run, error).catch(logFailure);
    else logFailure(error);
    return null;
  }

  function logFailure(reason: unknown): void {
    if (reason instanceof StaleEpochError || leader.signal.aborted) return; // the successor goes on with it
    log.error({ err: reason }, "launch failed");
  }
}

type LaunchNote = (runId: string, podName: string | null) => void;

/** Writes launches down, many in one transaction. One that is lost is found by the reconcile loop. */
function launchNotes(leader: Leader, noted: (runIds: readonly string[]) => void): LaunchNote {
  const waiting = new Map<string, string | null>();
  let writing = false;
  const write = async (): Promise<void> => {
    while (waiting.size > 0 && !leader.signal.aborted) {
      const batch = [...waiting].slice(0, NOTED_AT_ONCE);
      for (const [runId] of batch) waiting.delete(runId);
      const left = batch.filter(([runId]) => leader.launching.has(runId));
      const runs = left.map(([runId, podName]) => ({ runId, podName }));
      try {
        if (runs.length > 0) await markLaunched(leader.database, leader.epoch, runs);
      } catch (error) {
        if (!(error instanceof StaleEpochError)) leader.log.error({ err: error }, "launches could not be noted");
      }
      noted(runs.map(({ runId }) => runId));
    }
    writing = false;
  };
  return (runId, podName) => {
    waiting.set(runId, podName);
    if (writing) return;
    writing = true;
    setTimeout(() => void write(), NOTE_AFTER_MS);
  };
}

/** For those who ask why; the next tick tries again. */
async function noteNoPlace(leader: Leader, run: UnlaunchedRun, { message }: NoPlaceError): Promise<void> {
  if (message === run.waiting_for) return;
  leader.log.info({ task_id: run.task_id, run_id: run.run_id, reason: message }, "no place for the run's job yet");
  await noteWaiting(leader.database, leader.epoch, run.run_id, message);
}

async function settleFailedLaunch(leader: Leader, run: UnlaunchedRun, error: LaunchError): Promise<void> {
  leader.log.warn(
    { task_id: run.task_id, run_id: run.run_id, code: error.code, reason: error.message },
    "could not launch",
  );
  const settlement = settlementOfLaunchFailure(
    { retries: run.retries, stopReason: null, report: null },
    error,
    new Date(),
    Math.random(),
  );
  await settleRuns(leader.database, leader.epoch, [{ runId: run.run_id, settlement, podName: null, jobEnded: true }]);
}

function specOf(leader: Leader, run: UnlaunchedRun): LaunchSpec {
  return {
    runId: run.run_id,
    taskId: run.task_id,
    attempt: run.attempt,
    addressee: run.addressee,
    ...(run.role === null ? {} : { role: run.role }),
    jobName: run.job_name,
    token: runToken(leader.runKey, run.run_id),
    repoUrl: run.repo_url,
    deadlineSeconds: run.time_limit_seconds + PHASES_AROUND_AGENT_SECONDS,
    credential: {
      name: run.credential,
      env_var: run.env_var,
      file_path: run.file_path,
      secret_name: run.secret_name,
      secret_key: run.secret_key,
    },
    image: run.image,
    cpu: run.cpu,
    memory: run.memory,
    profile: run.profile,
    podTemplate: run.pod_template,
    secrets: run.secrets ?? {},
  };
}
