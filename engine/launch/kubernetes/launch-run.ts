/**
 * Creates the Job of a run. The name derives from task and attempt, so that creating it twice is harmless;
 * a Job of that name counts as ours only if it carries our run's label.
 *
 * A launch has failed (LaunchError) only when there is surely no Job: then the engine frees the slot. Where no
 * answer came there may be one, so another error is thrown, and the same launch is made again later.
 */
import type { V1Job } from "@kubernetes/client-node";
import type { Logger } from "pino";
import { LaunchError, NoPlaceError } from "../launcher.ts";
import type { Api } from "./api.ts";
import { ApiError, isBusy, isStatus } from "./api-error.ts";
import type { CreateGate } from "./create-gate.ts";
import { LABELS } from "./labels.ts";
import { withPatience, type PatienceOptions } from "./patience.ts";
import { seenJob, type JobJson, type SeenJob } from "./seen.ts";

export interface LaunchOptions {
  gate: CreateGate;
  log: Logger;
  /** For tests. */
  patience?: PatienceOptions;
}

/** As long as an API server needs to be replaced; a fault of this one Job must not hold up others for so long. */
const PATIENCE: PatienceOptions = { limitMs: 5_000, busyLimitMs: 60_000 };

/** A server that does not say how long it wants to be left alone. */
const DEFAULT_PAUSE_MS = 1_000;

/** @throws LaunchError with a sentence where there is no Job; NoPlaceError where a quota is full; ApiError where that is not known, or the server is too busy */
export async function launchRun(api: Api, job: V1Job, options: LaunchOptions): Promise<SeenJob> {
  const { gate, log, patience = PATIENCE } = options;
  const name = job.metadata?.name ?? "";
  const made = await withPatience(patience, () =>
    gate.run(() => createOrFind(api, job, name).catch((error: unknown) => noteBusy(error, gate, log))),
  ).catch((error: unknown) => findAfterAll(api, name, error));
  if (made.metadata.labels?.[LABELS.run] === job.metadata?.labels?.[LABELS.run]) return seenJob(made);
  throw new LaunchError("launch_failed", `There is a Job ${name} in ${api.namespace} that is not ours: delete it.`);
}

/** What the API server says where a quota counts Jobs. */
const QUOTA = /exceeded quota: .*/s;

async function createOrFind(api: Api, job: V1Job, name: string): Promise<JobJson> {
  try {
    return (await api.request({ method: "POST", path: jobsPath(api), body: job })) as JobJson;
  } catch (error) {
    const quota = isStatus(error, 403) ? QUOTA.exec(error.message)?.[0] : undefined;
    if (quota !== undefined)
      throw new NoPlaceError(`The cluster does not take its Job yet: ${quota}.`, { cause: error });
    if (!isStatus(error, 409)) throw error;
    return await find(api, name);
  }
}

/** The server refused the last request; an earlier one, whose answer was lost, may have made the Job. */
async function findAfterAll(api: Api, name: string, refusal: unknown): Promise<JobJson> {
  if (!(refusal instanceof ApiError) || isBusy(refusal)) throw refusal;
  try {
    return await find(api, name);
  } catch (error) {
    if (!isStatus(error, 404)) throw refusal;
    // What is not valid today is not valid tomorrow.
    const code = refusal.status === 400 || refusal.status === 422 ? "pod_refused" : "launch_failed";
    throw new LaunchError(code, sentenceOf(refusal, name), { cause: refusal });
  }
}

async function find(api: Api, name: string): Promise<JobJson> {
  return (await api.request({ path: `${jobsPath(api)}/${name}` })) as JobJson;
}

/** A server that is busy is busy for all: nobody asks before the time it states. */
function noteBusy(error: unknown, gate: CreateGate, log: Logger): never {
  if (isStatus(error, 429)) {
    const pauseMs = error.retryAfterMs ?? DEFAULT_PAUSE_MS;
    gate.pause(pauseMs);
    log.debug({ pause_ms: pauseMs }, "the API server asks for a pause");
  }
  throw error;
}

function sentenceOf({ status, message }: ApiError, name: string): string {
  switch (status) {
    case 401:
      return "The API server does not take the engine's login.";
    case 403:
      return `The API server refuses the Job ${name}: ${message}`;
    case 404:
      return `The Job ${name} has no place to be made in: ${message}`;
    case 400:
    case 422:
      return `The Job ${name} is not valid, look at the profile and the pod template: ${message}`;
    default:
      return `The API server did not take the Job ${name}: ${message}`;
  }
}

function jobsPath(api: Api): string {
  return `/apis/batch/v1/namespaces/${api.namespace}/jobs`;
}
