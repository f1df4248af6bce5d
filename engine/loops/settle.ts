/**
 * Settle: writes what became of an ended job back into its task, then removes the job.
 *
 * Evidence first: where publish stored no transcript, the job's log is kept before anything is removed.
 * Every step may be repeated; a repeated settle changes nothing.
 */
import { jobEnd } from "../domain/job.ts";
import { settlementOf, settlementOfUnlaunchedStop } from "../domain/outcome.ts";
import type { Settlement } from "../domain/outcome.ts";
import type { JobEnd, Observation } from "../launch/launcher.ts";
import { markLaunched, settleRun, storedReport } from "../store/runs.ts";
import type { SettleableRun } from "../store/runs.ts";
import { keepLog } from "../store/transcripts.ts";
import type { Leader } from "./leader.ts";

/** The end of a job's log that is kept where there is no transcript. */
const KEPT_LOG_CHARS = 1024 * 1024;

export async function settleEnded(leader: Leader, run: SettleableRun, observation: Observation): Promise<void> {
  // A job may end before its launch could be noted.
  if (!run.launched) await markLaunched(leader.database, leader.epoch, run.id, observation.podName);
  if (!run.hasTranscript) await keepJobLog(leader, run);
  await settleWithReport(leader, run, observation.end ?? jobEnd({ gone: "vanished" }));
  await leader.launcher.remove(run.jobName);
}

/** The job is gone without a trace; a report may have been stored before. */
export async function settleMissing(leader: Leader, run: SettleableRun): Promise<void> {
  await settleWithReport(leader, run, jobEnd({ gone: "deleted" }));
}

export async function settleUnlaunched(leader: Leader, run: SettleableRun): Promise<void> {
  await settle(leader, run, settlementOfUnlaunchedStop(run));
}

/** Without a report the database is asked once more, now that the job has ended: it may have come after the run was read. */
async function settleWithReport(leader: Leader, run: SettleableRun, end: JobEnd): Promise<void> {
  const report = run.report ?? (await storedReport(leader.database, run.id));
  await settle(leader, run, settlementOf({ ...run, report }, end, new Date(), Math.random()));
}

async function settle(leader: Leader, run: SettleableRun, settlement: Settlement): Promise<void> {
  const answer = await settleRun(leader.database, leader.epoch, run.id, settlement);
  if (answer !== "settled") return;
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
