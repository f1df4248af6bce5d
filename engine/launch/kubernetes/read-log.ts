/**
 * Reads a run's log through the API: its phases in order, from the beginning, and on as they speak.
 *
 * A connection that breaks is taken up where it broke, by the lines' times. What cannot be had (a node that is
 * gone) is said in one line and never thrown: a run must be settled without its log too.
 */
import { setTimeout as delay } from "node:timers/promises";
import { PHASES, type Phase } from "../../../worker-image/contract.ts";
import type { Api } from "./api.ts";
import { ApiError, isStatus } from "./api-error.ts";
import { linesOf } from "./lines.ts";
import type { SeenRun } from "./observe-run.ts";
import type { SeenContainer, SeenPod } from "./seen.ts";

export interface LogReading {
  api: Api;
  /** What is known of the run now; null: it is gone. */
  look(): Promise<SeenRun | null>;
  follow: boolean;
  signal?: AbortSignal | undefined;
}

/** How soon the next phase, or a broken connection, is looked at. */
const POLL_MS = 500;

/** What has been said already is there at once, or on a node that does not answer: settling waits for it. */
const READ_ONCE_MS = 20_000;

/** Ends when the run has ended, is gone, or `signal` aborts; without `follow` with what was said so far. */
export async function* readRunLog(given: LogReading): AsyncGenerator<string> {
  const late = given.follow ? null : AbortSignal.timeout(READ_ONCE_MS);
  const signals = [given.signal, late].filter((signal) => signal instanceof AbortSignal);
  const reading = { ...given, signal: AbortSignal.any(signals) };
  for (const phase of PHASES) {
    for await (const line of readPhaseLog(reading, phase)) yield `${line}\n`;
    if (late?.aborted) yield `[myzel] The log from ${phase} on cannot be had: its node does not answer.\n`;
    if (reading.signal.aborted) return;
  }
}

async function* readPhaseLog(reading: LogReading, phase: Phase): AsyncGenerator<string> {
  const { look, follow, signal } = reading;
  let reached = "";
  while (!signal?.aborted) {
    const pod = podOf(await look());
    if (pod === "gone") return;
    const container = pod === null ? undefined : pod.containers.find((one) => one.phase === phase);
    const next = pod === null ? "wait" : nextStep(pod, container);
    if (next === "never") return;
    if (next !== "wait" && pod !== null) {
      try {
        for await (const line of containerLog(reading, { pod, phase, reached })) {
          reached = line.time;
          yield line.text;
        }
        if (next === "finish") return;
      } catch (error) {
        if (signal?.aborted || isStatus(error, 404)) return;
        if (next === "finish" || !follow) {
          yield sorry(phase, error);
          return;
        }
      }
    }
    if (!follow) return;
    await delay(POLL_MS, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  }
}

/** Null: there is none yet. */
function podOf(run: SeenRun | null): SeenPod | null | "gone" {
  if (run === null) return "gone";
  const newest = run.pods.toSorted((a, b) => a.createdAt - b.createdAt).at(-1);
  if (newest !== undefined) return newest;
  return run.job === null || run.job.finished !== null || run.job.deletedAt !== null ? "gone" : null;
}

/** `read`: it speaks; `finish`: it has said everything; `never`: it will not begin any more. */
function nextStep(pod: SeenPod, container: SeenContainer | undefined): "read" | "finish" | "wait" | "never" {
  if (container?.state === "terminated") return "finish";
  if (pod.phase === "Succeeded" || pod.phase === "Failed") return "never";
  return container?.state === "running" ? "read" : "wait";
}

interface LogLine {
  time: string;
  text: string;
}

/** @throws ApiError */
async function* containerLog(
  { api, follow, signal }: LogReading,
  from: { pod: SeenPod; phase: Phase; reached: string },
): AsyncGenerator<LogLine> {
  const { pod, phase, reached } = from;
  const since = reached === "" ? {} : { sinceTime: `${reached.slice(0, 19)}Z` };
  const pieces = await api.stream({
    path: `/api/v1/namespaces/${api.namespace}/pods/${pod.name}/log`,
    query: { container: phase, follow, timestamps: true, ...since },
    signal,
  });
  for await (const line of linesOf(pieces)) {
    const space = line.indexOf(" ");
    const time = line.slice(0, space);
    // The server only knows whole seconds: what we have already had comes again.
    if (space > 0 && time > reached) yield { time, text: line.slice(space + 1) };
  }
}

function sorry(phase: Phase, error: unknown): string {
  const why = error instanceof ApiError ? error.message : "reading it failed";
  return `[myzel] The log of ${phase} cannot be had: ${why}`;
}
