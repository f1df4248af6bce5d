/**
 * Settle: writes what became of ended jobs back into their tasks, many in one transaction, then removes
 * the jobs.
 *
 * Evidence first: where publish stored no transcript, the job's log is kept before anything is removed.
 * Every step may be repeated; a repeated settle changes nothing.
 */
import { jobEnd } from "../domain/job.ts";
import { settlementOf, settlementOfUnlaunchedStop } from "../domain/outcome.ts";
import type { Settlement } from "../domain/outcome.ts";
import type { JobEnd, Observation } from "../launch/launcher.ts";
import { settleRuns, storedReports } from "../store/runs.ts";
import type { SettleableRun } from "../store/runs.ts";
import { keepLog } from "../store/transcripts.ts";
import { StaleEpochError } from "../store/errors.ts";
import type { Report } from "../../worker-image/contract.ts";
import type { Leader } from "./leader.ts";

/** The end of a job's log that is kept where there is no transcript. */
const KEPT_LOG_CHARS = 1024 * 1024;

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

/** Settles all that can be; returns whether something failed and is to be tried again. @throws StaleEpochError */
export async function settleAll(leader: Leader, settleables: readonly Settleable[]): Promise<boolean> {
  let failed = false;
  for (let from = 0; from < settleables.length; from += BATCH) {
    const batch = settleables.slice(from, from + BATCH);
    try {
      await settleBatch(leader, batch);
    } catch (error) {
      if (error instanceof StaleEpochError) throw error;
      // One of them may be what the database does not take: it must not hold up the others.
      for (const settleable of batch) {
        await settleBatch(leader, [settleable]).catch((reason: unknown) => {
          if (reason instanceof StaleEpochError) throw reason;
          failed = true;
          if (leader.signal.aborted) return; // the successor goes on with it
          const { run } = settleable;
          leader.log.error({ err: reason, task_id: run.taskId, run_id: run.id }, "settle failed");
        });
      }
    }
  }
  return failed;
}

async function settleBatch(leader: Leader, settleables: readonly Settleable[]): Promise<void> {
  for (const { kind, run } of settleables) if (kind === "settle_unlaunched") leader.toLaunch.delete(run.id);
  await Promise.all(settleables.map((settleable) => keepEvidence(leader, settleable)));
  // Asked once more, now that the jobs have ended: a report may have come after the run was read.
  const unreported = settleables.filter(({ run }) => run.report === null).map(({ run }) => run.id);
  const reports = await storedReports(leader.database, unreported);
  const ready = settleables
    .map((settleable) => decide(settleable, reports.get(settleable.run.id) ?? null))
    // what goes back to pending waits for its job's end
    .filter(({ jobEnded, settlement }) => jobEnded || settlement.action === "complete");
  if (ready.length === 0) return;
  const settlements = ready.map(({ run, ...what }) => ({ runId: run.id, ...what }));
  const settled = await settleRuns(leader.database, leader.epoch, settlements);
  for (const { run, settlement } of ready) {
    if (settled.has(run.id) && run.settledForMs === null) logSettled(leader, run, settlement);
  }
  for (const { run, jobEnded } of ready) if (jobEnded) leader.launching.delete(run.id);
  await Promise.all(ready.filter(({ hasJob }) => hasJob).map(({ run }) => leader.launcher.remove(run.jobName)));
}

/** What would be lost with the job. */
async function keepEvidence(leader: Leader, { kind, run }: Settleable): Promise<void> {
  if (kind === "settle" && !run.hasTranscript) await keepJobLog(leader, run);
}

function decide(settleable: Settleable, reportSince: Report | null): Ready {
  const { run } = settleable;
  const judge = (end: JobEnd): Settlement =>
    settlementOf({ ...run, report: run.report ?? reportSince }, end, new Date(), Math.random());
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

async function keepJobLog(leader: Leader, run: SettleableRun): Promise<void> {
  let log = "";
  for await (const chunk of leader.launcher.logs(run.jobName, { follow: false })) {
    log = (log + chunk).slice(-KEPT_LOG_CHARS);
  }
  await keepLog(leader.database, run.id, log);
}
