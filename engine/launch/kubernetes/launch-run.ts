/**
 * Creates the Job of a run. The name derives from task and attempt, so that creating it twice is harmless;
 * a Job of that name counts as ours only if it carries our run's label.
 */
import type { V1Job } from "@kubernetes/client-node";
import type { Logger } from "pino";
import { LaunchError } from "../launcher.ts";
import type { Api } from "./api.ts";
import { ApiError, isStatus } from "./api-error.ts";
import type { CreateGate } from "./create-gate.ts";
import { LABELS } from "./labels.ts";
import { withPatience } from "./patience.ts";
import { seenJob, type JobJson, type SeenJob } from "./seen.ts";

/** As long as an API server needs to be replaced; a fault of this one Job must not hold up others for so long. */
const PATIENCE = { limitMs: 5_000, busyLimitMs: 60_000 };

/** A server that does not say how long it wants to be left alone. */
const DEFAULT_PAUSE_MS = 1_000;

/** @throws LaunchError with a sentence */
export async function launchRun(api: Api, job: V1Job, gate: CreateGate, log: Logger): Promise<SeenJob> {
  const name = job.metadata?.name ?? "";
  const runId = job.metadata?.labels?.[LABELS.run] ?? "";
  try {
    const made = await withPatience(PATIENCE, () =>
      gate.run(() => createOrFind(api, job, name).catch((error: unknown) => noteBusy(error, gate, log))),
    );
    if (made.metadata.labels?.[LABELS.run] === runId) return seenJob(made);
  } catch (error) {
    throw launchErrorOf(error, name);
  }
  throw new LaunchError("launch_failed", `There is a Job ${name} in ${api.namespace} that is not ours: delete it.`);
}

async function createOrFind(api: Api, job: V1Job, name: string): Promise<JobJson> {
  const path = `/apis/batch/v1/namespaces/${api.namespace}/jobs`;
  try {
    return (await api.request({ method: "POST", path, body: job })) as JobJson;
  } catch (error) {
    if (!isStatus(error, 409)) throw error;
    return (await api.request({ path: `${path}/${name}` })) as JobJson;
  }
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

function launchErrorOf(error: unknown, name: string): LaunchError {
  if (error instanceof LaunchError) return error;
  if (!(error instanceof ApiError)) {
    return new LaunchError("launch_failed", `The Job ${name} could not be created.`, { cause: error });
  }
  return new LaunchError("launch_failed", sentenceOf(error, name), { cause: error });
}

function sentenceOf({ status, message }: ApiError, name: string): string {
  switch (status) {
    case null:
      return message;
    case 401:
      return "The API server does not take the engine's login.";
    case 403:
      return `The API server refuses the Job ${name}: ${message}`;
    case 404:
      return `The Job ${name} has no place to be made in: ${message}`;
    case 422:
      return `The Job ${name} is not valid, look at the profile and the pod template: ${message}`;
    default:
      return `The API server did not take the Job ${name}: ${message}`;
  }
}
