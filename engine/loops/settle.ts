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
import { markLaunched, settleRuns, storedReport } from "../store/runs.ts";
import type { SettleableRun } from "../store/runs.ts";
import { keepLog } from "../store/transcripts.ts";
import { StaleEpochError } from "../store/errors.ts";
import type { Leader } from "./leader.ts";

/** The end of a job's log that is kept where there is no transcript. */
const KEPT_LOG_CHARS = 1024 * 1024;

/** Most runs that are settled in one transaction. */
const BATCH = 64;

/** A run that is to be settled, and why: its job has ended, is gone without a trace, or never was. */
export type Settleable =
  | { kind: "settle"; run: SettleableRun; observation: Observation }
  | { kind: "settle_missing"; run: SettleableRun }
  | { kind: "settle_unlaunched"; run: SettleableRun };

interface Ready {
  run: SettleableRun;
  settlement: Settlement;
  /** There is a job to remove. */
  hasJob: boolean;
}

/** Settles all that can be; returns whether something failed and is to be tried again. @throws StaleEpochError */
export async function settleAll(leader: Leader, settleables: readonly Settleable[]): Promise<boolean> {
  let failed = false;
  const noteFailure = (run: SettleableRun, error: unknown): void => {
    if (error instanceof StaleEpochError) throw error;
    failed = true;
    if (leader.signal.aborted) return; // the successor goes on with it
    leader.log.error({ err: error, task_id: run.taskId, run_id: run.id }, "settle failed");
  };
  for (let from = 0; from < settleables.length; from += BATCH) {
    const ready: Ready[] = [];
    await Promise.all(
      settleables.slice(from, from + BATCH).map(async (settleable) => {
        try {
          ready.push(await prepare(leader, settleable));
        } catch (error) {
          noteFailure(settleable.run, error);
        }
      }),
    );
    try {
      await settleBatch(leader, ready);
    } catch (error) {
      if (error instanceof StaleEpochError) throw error;
      // One of them may be what the database does not take: it must not hold up the others.
      for (const one of ready)
        await settleBatch(leader, [one]).catch((reason: unknown) => noteFailure(one.run, reason));
    }
  }
  return failed;
}

async function settleBatch(leader: Leader, ready: readonly Ready[]): Promise<void> {
  if (ready.length === 0) return;
  const settlements = ready.map(({ run, settlement }) => ({ runId: run.id, settlement }));
  const settled = await settleRuns(leader.database, leader.epoch, settlements);
  for (const { run, settlement } of ready) if (settled.has(run.id)) logSettled(leader, run, settlement);
  await Promise.all(ready.filter(({ hasJob }) => hasJob).map(({ run }) => leader.launcher.remove(run.jobName)));
}

/** Keeps what would be lost with the job, then decides. */
async function prepare(leader: Leader, settleable: Settleable): Promise<Ready> {
  const { run } = settleable;
  switch (settleable.kind) {
    case "settle": {
      const { observation } = settleable;
      // A job may end before its launch could be noted.
      if (!run.launched) await markLaunched(leader.database, leader.epoch, run.id, observation.podName);
      if (!run.hasTranscript) await keepJobLog(leader, run);
      const end = observation.end ?? jobEnd({ gone: "vanished" });
      return { run, settlement: await decide(leader, run, end), hasJob: true };
    }
    case "settle_missing":
      return { run, settlement: await decide(leader, run, jobEnd({ gone: "deleted" })), hasJob: false };
    case "settle_unlaunched":
      return { run, settlement: settlementOfUnlaunchedStop(run), hasJob: false };
  }
}

/** Without a report the database is asked once more, now that the job has ended: it may have come after the run was read. */
async function decide(leader: Leader, run: SettleableRun, end: JobEnd): Promise<Settlement> {
  const report = run.report ?? (await storedReport(leader.database, run.id));
  return settlementOf({ ...run, report }, end, new Date(), Math.random());
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
