/**
 * What the run directories tell: which runs live, which have ended, and how. A run whose supervisor
 * died without an end is ended here, every process of it, before it is called gone.
 */
import { jobEnd } from "../../domain/job.ts";
import { readdirSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Logger } from "pino";
import type { Report } from "../../../worker-image/contract.ts";
import type { JobEnd, Observation } from "../launcher.ts";
import { endProcesses } from "./end-processes.ts";
import { runsDirectory } from "./launcher-settings.ts";
import { bootId, createJson, readJson, readUntrusted, RUN_FILES } from "./run-directory.ts";
import type { RunRecord, SupervisorRecord } from "./run-directory.ts";
import { probeSupervisor } from "./supervisor-client.ts";

/** A report is text of at most a few MiB; what is larger was not written by publish. */
const MAX_REPORT_BYTES = 16 * 2 ** 20;

const LOG_TAIL_BYTES = 8_192;

/** For the processes of one vanished run; the next look goes on. */
const END_TIMEOUT_MS = 5_000;

/** Names of all runs that have a directory. */
export function listRuns(dataDir: string): string[] {
  try {
    return readdirSync(runsDirectory(dataDir)).filter((name) => !name.startsWith("."));
  } catch {
    return [];
  }
}

/** All runs of this host that were ever started, ended ones included; or those of these. */
export async function observeRuns(dataDir: string, log: Logger, only?: ReadonlySet<string>): Promise<Observation[]> {
  const seen = await Promise.all(
    listRuns(dataDir).map((name) => observeRun(join(runsDirectory(dataDir), name), log.child({ job: name }), only)),
  );
  return seen.filter((observation) => observation !== null);
}

async function observeRun(
  directory: string,
  log: Logger,
  only: ReadonlySet<string> | undefined,
): Promise<Observation | null> {
  const record = readJson<RunRecord>(join(directory, RUN_FILES.record));
  if (record === null || record.host !== hostname() || only?.has(record.runId) === false) return null;
  const probe = await probeSupervisor(directory);
  // Read after the probe: a supervisor that is gone has written what it will ever write.
  const end = readJson<JobEnd>(join(directory, RUN_FILES.end));
  const supervisor = readJson<SupervisorRecord>(join(directory, RUN_FILES.supervisor));
  const { runId, jobName } = record;
  const known = { runId, jobName, podName: supervisor?.podName ?? null };

  if (probe.life === "alive") {
    const state = probe.state?.state === "starting" ? "starting" : "running";
    return { ...known, state, phase: probe.state?.phase ?? null, end: null };
  }
  if (end !== null) return { ...known, state: "ended", phase: null, end: withReport(directory, end) };
  if (probe.life === "absent") return null;
  if (!(await endVanished(directory, record, supervisor))) {
    log.warn({ run_id: runId }, "processes of a vanished run are still ending");
    return { ...known, state: "running", phase: null, end: null };
  }
  const stored = readJson<JobEnd>(join(directory, RUN_FILES.end)) ?? jobEnd({ gone: "vanished" });
  return { ...known, state: "ended", phase: null, end: withReport(directory, stored) };
}

/**
 * Ends what a dead supervisor left and writes the end it could not write.
 * @returns false while something still lives
 */
async function endVanished(
  directory: string,
  record: RunRecord,
  supervisor: SupervisorRecord | null,
): Promise<boolean> {
  const sinceTicks = supervisor?.startTicks ?? Number.POSITIVE_INFINITY;
  const processes = { runId: record.runId, directory, uid: record.uid, sessions: [], sinceTicks };
  // Nothing outlives a restart of the machine.
  if (record.bootId === bootId() && !(await endProcesses(processes, END_TIMEOUT_MS))) return false;
  rmSync(join(directory, RUN_FILES.claude), { recursive: true, force: true });
  const logTail = readUntrusted(join(directory, RUN_FILES.log), LOG_TAIL_BYTES, "end");
  try {
    createJson(join(directory, RUN_FILES.end), jobEnd({ gone: "vanished", logTail }));
  } catch {
    // A full disk: it is worked out anew at the next look.
  }
  return true;
}

function withReport(directory: string, end: JobEnd): JobEnd {
  const text = readUntrusted(join(directory, RUN_FILES.spool, "report.json"), MAX_REPORT_BYTES);
  if (text === null) return end;
  try {
    const report: unknown = JSON.parse(text);
    return typeof report === "object" && report !== null ? { ...end, spooledReport: report as Report } : end;
  } catch {
    return end;
  }
}
