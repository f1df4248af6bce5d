/**
 * Settle: writes what became of ended jobs back into their tasks, many in one transaction, then removes
 * the jobs.
 *
 * Evidence first: where publish stored no transcript, what is left of the job's log is kept before anything is removed.
 * Every step may be repeated; a repeated settle changes nothing.
 */
import { jobEnd } from "../domain/job.ts";
import { settlementOf, settlementOfUnlaunchedStop, waitCode } from "../domain/outcome.ts";
import type { Past, Settlement } from "../domain/outcome.ts";
import type { JobEnd, Observation } from "../launch/launcher.ts";
import { BusyError, StaleEpochError } from "../store/errors.ts";
import type { SettleableRun } from "../store/runs.ts";
import { pastOfRuns, settleRuns, storedReports } from "../store/settle.ts";
import type { Report } from "../../worker-image/contract.ts";
import type { Leader } from "./leader.ts";

/** Most runs that are settled in one transaction. */
const BATCH = 64;

/** A run that is to be settled, and why: its job has ended, its report is in, the job is gone without a trace, or never was. */
export type Settleable =
  | { kind: "settle"; run: SettleableRun; observation: Observation }
  | { kind: "settle_report"; run: SettleableRun; podName: string | null }
  | { kind: "settle_missing"; run: SettleableRun }
  | { kind: "settle_unlaunched"; run: SettleableRun };

interface Ready {
  run: SettleableRun;
  settlement: Settlement;
  /** There is a job to remove. */
  hasJob: boolean;
  jobEnded: boolean;
  /** For what was not noted while it ran. */
  podName: string | null;
}

/** Settles all that can be; returns the runs that are to be tried again. @throws StaleEpochError */
export async function settleAll(leader: Leader, settleables: readonly Settleable[]): Promise<string[]> {
  const left: string[] = [];
  for (let from = 0; from < settleables.length; from += BATCH) {
    const batch = settleables.slice(from, from + BATCH);
    try {
      left.push(...(await settleBatch(leader, batch)));
    } catch (error) {
      if (error instanceof StaleEpochError) throw error;
      // One of them may be what the database does not take: it must not hold up the others.
      for (const settleable of batch) left.push(...(await settleOne(leader, settleable)));
    }
  }
  return left;
}

async function settleOne(leader: Leader, settleable: Settleable): Promise<string[]> {
  const { id, taskId } = settleable.run;
  try {
    return await settleBatch(leader, [settleable]);
  } catch (error) {
    if (error instanceof StaleEpochError) throw error;
    if (leader.signal.aborted) return [id]; // the successor goes on with it
    if (error instanceof BusyError) sayBusy(leader, settleable.run);
    else leader.log.error({ err: error, task_id: taskId, run_id: id }, "settle failed");
    return [id];
  }
}

/** Once a run: it is tried again every second, for as long as somebody keeps his transaction open. */
function sayBusy(leader: Leader, run: SettleableRun): void {
  if (leader.heldUp.has(run.id)) return;
  leader.heldUp.add(run.id);
  leader.log.warn(
    { task_id: run.taskId, run_id: run.id },
    "settle waits for somebody who changes its task or its epic in an open transaction",
  );
}

/** Returns the runs that are to be tried again. */
async function settleBatch(leader: Leader, settleables: readonly Settleable[]): Promise<string[]> {
  for (const { kind, run } of settleables) if (kind === "settle_unlaunched") leader.toLaunch.delete(run.id);
  const tails = new Map<string, string | null>();
  await Promise.all(settleables.map(async (one) => tails.set(one.run.id, await keepEvidence(leader, one))));
  // Asked once more, now that the jobs have ended: a report may have come after the run was read.
  const unreported = settleables.filter(({ run }) => run.report === null).map(({ run }) => run.id);
  const reports = await storedReports(leader.database, unreported);
  const pasts = await askPasts(leader, settleables, reports);
  const ready = settleables
    .map((settleable) => {
      const { id } = settleable.run;
      const found = { report: reports.get(id) ?? null, past: pasts.get(id), logTail: tails.get(id) ?? null };
      return decide(settleable, found);
    })
    // what goes back to pending waits for its job's end
    .filter(({ jobEnded, settlement }) => jobEnded || settlement.action === "complete");
  if (ready.length === 0) return [];
  const settlements = ready.map(({ run, ...what }) => ({ runId: run.id, ...what }));
  const { settled, busy } = await settleRuns(leader.database, leader.epoch, settlements);
  for (const { run } of ready.filter(({ run }) => busy.has(run.id))) sayBusy(leader, run);
  const done = ready.filter(({ run }) => !busy.has(run.id));
  for (const { run, settlement, jobEnded } of done) {
    leader.heldUp.delete(run.id);
    if (settled.has(run.id) && run.settledForMs === null) logSettled(leader, run, settlement);
    if (jobEnded) leader.launching.delete(run.id);
  }
  await Promise.all(done.filter(({ hasJob }) => hasJob).map(({ run }) => leader.launcher.remove(run.jobName)));
  return [...busy];
}

/** What would be lost with the job. Returns the end of its log, as far as it is known. */
async function keepEvidence(leader: Leader, { kind, run }: Settleable): Promise<string | null> {
  if (kind === "settle_report" || kind === "settle_unlaunched") return null;
  if (run.hasTranscript) return await leader.logs.forget(run.id);
  return await leader.logs.finish(run, { read: kind === "settle", stored: run.hasKeptLog });
}

/** What went before those that ended with a code after which a task waits. */
async function askPasts(leader: Leader, settleables: readonly Settleable[], reports: ReadonlyMap<string, Report>) {
  const waiting = settleables.flatMap((settleable) => {
    const { run } = settleable;
    const spooled = settleable.kind === "settle" ? (settleable.observation.end?.spooledReport ?? null) : null;
    const code = waitCode(run.report ?? reports.get(run.id) ?? spooled);
    return code === null ? [] : [{ id: run.id, code }];
  });
  return pastOfRuns(leader.database, waiting);
}

/** What was found out about a run once its job had ended. */
interface Found {
  report: Report | null;
  past: Past | undefined;
  logTail: string | null;
}

function decide(settleable: Settleable, found: Found): Ready {
  const { run } = settleable;
  const judge = (end: JobEnd): Settlement =>
    settlementOf(
      { ...run, report: run.report ?? found.report, past: found.past },
      { ...end, logTail: end.logTail ?? found.logTail },
      new Date(),
      Math.random(),
    );
  switch (settleable.kind) {
    case "settle": {
      const { end, podName } = settleable.observation;
      return { run, settlement: judge(end ?? jobEnd({ gone: "vanished" })), hasJob: true, jobEnded: true, podName };
    }
    case "settle_report": {
      const { podName } = settleable;
      return { run, settlement: judge(jobEnd({})), hasJob: false, jobEnded: false, podName };
    }
    case "settle_missing":
      return { run, settlement: judge(jobEnd({ gone: "deleted" })), hasJob: false, jobEnded: true, podName: null };
    case "settle_unlaunched":
      return { run, settlement: settlementOfUnlaunchedStop(run), hasJob: false, jobEnded: true, podName: null };
  }
}

function logSettled(leader: Leader, run: SettleableRun, settlement: Settlement): void {
  leader.log.info(
    {
      task_id: run.taskId,
      run_id: run.id,
      attempt: run.attempt,
      addressee: run.addressee,
      success: settlement.success,
      failure_code: settlement.failure_code,
      action: settlement.action,
    },
    "settled",
  );
}
