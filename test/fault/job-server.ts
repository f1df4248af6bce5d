/**
 * Where the jobs of the fault suite run: one small process that outlives every engine, a stand-in for a
 * cluster. A job is a timer that calls the real pod functions with the pod's login, and ends in every way
 * in which a job may end. Its record of what really ran is the suite's evidence; nothing here looks at
 * what the engine believes.
 *
 * usage: job-server.ts SOCKET SEED (the pod's URL on the environment, FAULT_POD_URL)
 */
import { createServer } from "node:net";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { jobEnd } from "../../engine/domain/job.ts";
import type { JobEnd, Observation } from "../../engine/launch/launcher.ts";
import { EXIT } from "../../worker-image/contract.ts";
import type { Phase, Report } from "../../worker-image/contract.ts";
import { doneReport } from "../support/instant-launcher.ts";
import { fateOf } from "./job-fate.ts";
import type { Fate } from "./job-fate.ts";
import { outboxOf } from "./green-plans.ts";
import { onLines } from "./job-protocol.ts";
import type { Answer, Envelope, JobRecord, JobSpec, Request } from "./job-protocol.ts";

/** How long a phase goes on trying to reach the database before it gives up. */
const GIVE_UP_MS = 3_000;
const POD_CONNECTIONS = 12;

interface Job {
  spec: JobSpec;
  fate: Fate;
  record: JobRecord;
  end: JobEnd | null;
  stopping: AbortController;
}

const [socketPath = "", seed = ""] = process.argv.slice(2);
const jobs = new Map<string, Job>();
const history: JobRecord[] = [];
const instances = new Map<string, number>();
const watchers = new Set<Socket>();
const pods = new pg.Pool({
  connectionString: process.env["FAULT_POD_URL"],
  max: POD_CONNECTIONS,
  connectionTimeoutMillis: 2_000,
  query_timeout: 2_000,
});
pods.on("error", () => undefined);
pods.on("connect", (client) => client.on("error", () => undefined));

const server = createServer((socket) => {
  socket.on("error", () => socket.destroy());
  socket.on("close", () => watchers.delete(socket));
  onLines(socket, (line) => {
    const { id, body } = JSON.parse(line) as Envelope<Request>;
    void answer(socket, body).then((reply) => {
      if (reply !== null && !socket.destroyed) socket.write(`${JSON.stringify({ id, body: reply })}\n`);
    });
  });
}).listen(socketPath, () => process.send?.("listening"));
process.once("disconnect", () => process.exit(0));
process.once("SIGTERM", () => {
  server.close();
  process.exit(0);
});

async function answer(socket: Socket, request: Request): Promise<Answer | null> {
  switch (request.call) {
    case "launch":
      return await launch(socket, request.spec);
    case "observe":
      return { observations: [...jobs.values()].map(observationOf) };
    case "stop":
      jobs.get(request.jobName)?.stopping.abort();
      return { done: true };
    case "remove":
      remove(request.jobName);
      return { done: true };
    case "watch":
      watchers.add(socket);
      return { done: true };
    case "history":
      return { history };
  }
}

async function launch(socket: Socket, spec: JobSpec): Promise<Answer | null> {
  const known = jobs.get(spec.jobName);
  if (known !== undefined) return { podName: podName(known) };
  const instance = (instances.get(spec.jobName) ?? 0) + 1;
  instances.set(spec.jobName, instance);
  const fate = fateOf({ seed, jobName: spec.jobName, addressee: spec.addressee, instance });
  await delay(fate.launchMs);
  const meanwhile = jobs.get(spec.jobName);
  if (meanwhile !== undefined) return { podName: podName(meanwhile) };
  if (fate.launch === "launch_failed" || fate.launch === "image_pull_failed") return { launchError: fate.launch };
  const job: Job = { spec, fate, record: newRecord(spec, instance), end: null, stopping: new AbortController() };
  jobs.set(spec.jobName, job);
  history.push(job.record);
  void live(job);
  if (fate.launch === "answer_lost") {
    socket.destroy();
    return null;
  }
  return { podName: podName(job) };
}

function newRecord(spec: JobSpec, instance: number): JobRecord {
  return {
    jobName: spec.jobName,
    runId: spec.runId,
    taskId: spec.taskId,
    addressee: spec.addressee,
    instance,
    launchedAt: Date.now(),
    briefAt: null,
    deadAt: null,
    report: null,
    reportSuccess: null,
    reportCode: null,
    children: 0,
    removed: false,
    lateReportTaken: false,
  };
}

function podName(job: Job): string {
  return `${job.spec.jobName}#${job.record.instance}`;
}

function observationOf(job: Job): Observation {
  const state = job.end !== null ? "ended" : job.record.briefAt === null ? "starting" : "running";
  return { runId: job.spec.runId, jobName: job.spec.jobName, podName: podName(job), state, phase: null, end: job.end };
}

/** From launch to death. */
async function live(job: Job): Promise<void> {
  await work(job.fate.startMs, job);
  if (job.stopping.signal.aborted) return await stopped(job);
  if (job.fate.ending === "checkout_failed") return die(job, ended("checkout", EXIT.checkoutFailed));
  const brief = await callPod(job, "select load_brief($1, $2, $3)", []);
  if (brief === "refused" || brief === "doubtful") return die(job, ended("checkout", EXIT.fenced));
  if (brief === "unreachable") return die(job, ended("checkout", EXIT.databaseUnreachable));
  job.record.briefAt = Date.now();
  changed();
  await work(job.fate.workMs, job);
  if (job.stopping.signal.aborted) return await stopped(job);
  await finish(job);
}

async function finish(job: Job): Promise<void> {
  switch (job.fate.ending) {
    case "no_report":
      return die(job, ended("publish", 1));
    case "out_of_memory":
      return die(job, jobEnd({ outOfMemory: true }));
    case "deadline":
      return die(job, jobEnd({ deadlineExceeded: true }));
    case "vanished":
      return die(job, jobEnd({ gone: "vanished" }));
    case "deleted":
      return die(job, null);
    case "spooled":
      return spool(job, reportOf(job));
    default:
      return await publish(job);
  }
}

/** Stores the report, or leaves it with the launcher where the database cannot be reached. */
async function publish(job: Job): Promise<void> {
  const report = reportOf(job);
  noteReport(job, report, "unknown"); // until it is known: this process may be asked in between
  const answered = await callPod(job, "select write_report($1, $2, $3, $4, true)", [report]);
  if (answered === "unreachable") return spool(job, report);
  job.record.report = answered === "ok" ? "acknowledged" : answered === "refused" ? "refused" : "unknown";
  await work(job.fate.lingerMs, job);
  if (answered !== "ok") return die(job, ended("publish", EXIT.fenced));
  die(job, job.fate.ending === "deleted_after_report" ? null : ended("publish", EXIT.ok));
}

function spool(job: Job, report: Report): void {
  noteReport(job, report, "spooled");
  die(job, { ...ended("publish", EXIT.reportSpooled), spooledReport: report });
}

function noteReport(job: Job, report: Report, fate: JobRecord["report"]): void {
  job.record.report = fate;
  job.record.reportSuccess = report.success;
  job.record.reportCode = report.code;
  job.record.children = report.tasks.length;
  job.record.finishes = report.finish_epic?.success ?? null;
}

async function stopped(job: Job): Promise<void> {
  await delay(job.fate.stopMs);
  die(job, jobEnd({ stopped: true }));
}

/** @param end null: the launcher forgets it */
function die(job: Job, end: JobEnd | null): void {
  job.record.deadAt = Date.now();
  if (end === null) jobs.delete(job.spec.jobName);
  else job.end = end;
  changed();
}

/** A removed job's run is settled: whatever still writes with its token must be turned away. */
function remove(jobName: string): void {
  const job = jobs.get(jobName);
  if (job === undefined || job.end === null) return;
  jobs.delete(jobName);
  job.record.removed = true;
  void callPod(job, "select write_report($1, $2, $3, $4, true)", [reportOf(job)]).then((answered) => {
    if (answered === "ok") job.record.lateReportTaken = true;
  });
}

function changed(): void {
  for (const watcher of watchers) watcher.write('{"id":0}\n');
}

async function work(ms: number, job: Job): Promise<void> {
  await delay(ms, undefined, { signal: job.stopping.signal }).catch(() => undefined);
}

function ended(phase: Phase, exitCode: number): JobEnd {
  return jobEnd({ phases: [{ phase, exitCode, signal: null, message: null }] });
}

/** `doubtful`: refused, but an earlier try may have gone through and its answer been lost. */
type PodAnswer = "ok" | "refused" | "doubtful" | "unreachable";

/** A call of the pod's functions, repeated while the database cannot be reached, as the phases do. */
async function callPod(job: Job, call: string, more: unknown[]): Promise<PodAnswer> {
  const deadline = performance.now() + GIVE_UP_MS;
  let lost = false;
  do {
    try {
      await pods.query(call, [job.spec.runId, job.spec.token, podName(job), ...more]);
      return "ok";
    } catch (error) {
      if ((error as { code?: string }).code === "MZ003") return lost ? "doubtful" : "refused";
      lost = true;
    }
    await delay(100);
  } while (performance.now() < deadline);
  return "unreachable";
}

function reportOf(job: Job): Report {
  const code = job.fate.ending;
  const failed = code === "agent_error" || code === "api_overloaded" || code === "usage_limit" ? code : null;
  const outbox = outboxOf({ seed, ...job.spec, instance: job.record.instance });
  return {
    ...doneReport,
    success: failed === null,
    code: failed,
    error: failed === null ? null : `The job was to end with ${failed}.`,
    summary: `done by ${job.spec.runId}`,
    cost_usd: job.fate.costUsd,
    output_tokens: job.fate.tokens,
    tasks: failed === null ? outbox.tasks : [],
    finish_epic: failed === null ? outbox.finish_epic : null,
  };
}
