/**
 * Reads a run's log through the API: its phases in order, from a place on, and on as they speak.
 *
 * A connection that breaks is taken up where it broke, by the lines' times; a place is a phase and the time of a
 * line, so that any engine can go on there. What cannot be had (a node that is gone) is said in one line and, while
 * following, tried again: a run must be settled without its log too.
 */
import { setTimeout as delay } from "node:timers/promises";
import { PHASES, type Phase } from "../../../worker-image/contract.ts";
import type { LogPiece, LogReading } from "../launcher.ts";
import type { Api } from "./api.ts";
import { ApiError, isStatus } from "./api-error.ts";
import { timedLines } from "./log-lines.ts";
import type { SeenRun } from "./observe-run.ts";
import type { SeenContainer, SeenPod } from "./seen.ts";

export interface RunLogReading extends LogReading {
  api: Api;
  /** What is known of the run now; null: it is gone. */
  look(): Promise<SeenRun | null>;
  /** How soon the next phase, or a broken connection, is looked at. */
  pollMs: number;
}

/** How long what has ended is tried again: a node that does not answer, and an API server that does not. */
const NODE_PATIENCE_MS = 15_000;
const SERVER_PATIENCE_MS = 5_000;

/** What has been said already is there at once, or on a node that does not answer: settling waits for it. */
const READ_ONCE_MS = 20_000;

/** Ends when the run has ended, is gone, or `signal` aborts; without `follow` with what was said so far. @throws ApiError without `follow` only */
export async function* readRunLog(given: RunLogReading): AsyncGenerator<LogPiece> {
  const late = given.follow ? null : AbortSignal.timeout(READ_ONCE_MS);
  const signals = [given.signal, late].filter((signal) => signal instanceof AbortSignal);
  const reading = { ...given, signal: AbortSignal.any(signals) };
  const begin = placeOf(given.after ?? "");
  for (const phase of PHASES.slice(PHASES.indexOf(begin.phase))) {
    yield* readPhaseLog(reading, phase, phase === begin.phase ? begin.time : "");
    if (late?.aborted) yield note(phase, `The log from ${phase} on cannot be had: its node does not answer.`);
    if (reading.signal.aborted) return;
  }
}

async function* readPhaseLog(reading: RunLogReading, phase: Phase, after: string): AsyncGenerator<LogPiece> {
  const { follow, signal } = reading;
  let reached = after;
  let failingSince = Infinity;
  while (!signal?.aborted) {
    const step = await lookAt(reading, phase);
    if (step.next === "over") return;
    if (step.pod !== null) {
      try {
        for await (const { text, time } of containerLog(reading, { ...step, phase, reached })) {
          reached = time;
          failingSince = Infinity;
          yield { text, phase, place: `${phase} ${time}` };
        }
        failingSince = Infinity;
        if (step.next === "finish") return;
      } catch (error) {
        if (signal?.aborted || isStatus(error, 404)) return;
        failingSince = Math.min(failingSince, performance.now());
        if ((step.next === "finish" || !follow) && performance.now() - failingSince >= patienceWith(error, follow)) {
          yield note(phase, `The log of ${phase} cannot be had: ${reasonOf(error)}`);
          return;
        }
      }
    }
    if (!follow && failingSince === Infinity) return;
    await delay(reading.pollMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  }
}

function patienceWith(error: unknown, follow: boolean): number {
  if (follow) return NODE_PATIENCE_MS;
  return error instanceof ApiError && error.status === null ? SERVER_PATIENCE_MS : 0;
}

/** `read`: it speaks; `finish`: it has said everything; `over`: it will not begin any more, or is gone. */
type Step = { pod: SeenPod; next: "read" | "finish" } | { pod: null; next: "wait" | "over" };

async function lookAt({ look, follow, signal }: RunLogReading, phase: Phase): Promise<Step> {
  try {
    const pod = podOf(await look());
    if (pod === "gone") return { pod: null, next: "over" };
    return pod === null ? { pod, next: "wait" } : nextStep(pod, phase);
  } catch (error) {
    if (signal?.aborted) return { pod: null, next: "over" };
    if (!follow || !(error instanceof ApiError)) throw error;
    return { pod: null, next: "wait" };
  }
}

/** Null: there is none yet. */
function podOf(run: SeenRun | null): SeenPod | null | "gone" {
  if (run === null) return "gone";
  const newest = run.pods.toSorted((a, b) => a.createdAt - b.createdAt).at(-1);
  if (newest !== undefined) return newest;
  return run.job === null || run.job.finished !== null || run.job.deletedAt !== null ? "gone" : null;
}

function nextStep(pod: SeenPod, phase: Phase): Step {
  const container: SeenContainer | undefined = pod.containers.find((one) => one.phase === phase);
  if (container?.state === "terminated") return { pod, next: "finish" };
  if (pod.phase === "Succeeded" || pod.phase === "Failed") return { pod: null, next: "over" };
  return container?.state === "running" ? { pod, next: "read" } : { pod: null, next: "wait" };
}

/** @throws ApiError */
async function* containerLog(
  { api, follow, signal }: RunLogReading,
  from: { pod: SeenPod; phase: Phase; reached: string; next: "read" | "finish" },
) {
  const { pod, phase, reached, next } = from;
  // The server only knows whole seconds: what we have already had comes again.
  const since = reached === "" ? {} : { sinceTime: `${reached.slice(0, 19)}Z` };
  const pieces = await api.stream({
    path: `/api/v1/namespaces/${api.namespace}/pods/${pod.name}/log`,
    query: { container: phase, follow, timestamps: true, ...since },
    signal,
  });
  yield* timedLines(pieces, { after: reached, whole: next === "finish" });
}

function note(phase: Phase, text: string): LogPiece {
  return { text: `[myzel] ${text}\n`, phase, place: null };
}

function reasonOf(error: unknown): string {
  return error instanceof ApiError ? error.message : "reading it failed";
}

/** Anything that is no place is the beginning. */
function placeOf(text: string): { phase: Phase; time: string } {
  const [name, time = ""] = text.split(" ", 2);
  const phase = PHASES.find((one) => one === name);
  return phase === undefined ? { phase: PHASES[0], time: "" } : { phase, time };
}
