/**
 * Ends runs and removes what is left of them. Touches nothing but what carries our labels, and of that only
 * the very object that was seen. Every call may be repeated.
 */
import type { Logger } from "pino";
import type { Api } from "./api.ts";
import { ApiError, isBusy, isStatus } from "./api-error.ts";
import { ANNOTATIONS } from "./labels.ts";
import type { SeenRun } from "./observe-run.ts";
import { withPatience } from "./patience.ts";
import { KEEP_LIMIT_MS, planStop } from "./plan-stop.ts";
import type { SeenObject, SeenPod } from "./seen.ts";
import type { GivenUp } from "./stuck-pod.ts";

const PATIENCE_MS = 10_000;

/** For a question that is refused: the run ends without it. */
const ASK_PATIENCE_MS = 2_000;

export interface StopOptions {
  log: Logger;
  /** What a pod that may have something to keep gets to do so. */
  keepLimitMs?: number | undefined;
}

/**
 * Takes the next step of a stop; to be called again until the run has ended. A pod whose agent has begun is asked to
 * end and keep what it leaves; any other, and one that takes too long or cannot be asked, is deleted.
 * @throws ApiError where the server is away
 */
export async function stopRun(
  api: Api,
  run: SeenRun,
  { log, keepLimitMs = KEEP_LIMIT_MS }: StopOptions,
): Promise<void> {
  const now = Date.now();
  const step = planStop(run, now, keepLimitMs);
  if (step.kind === "wait") return;
  if (step.kind === "ask") {
    const refusal = await askToStop(api, step.pod, new Date(now));
    if (refusal === null) return;
    log.warn({ err: refusal, run_id: run.runId }, "a pod cannot be asked to stop: it is deleted, and keeps nothing");
  }
  await deleteRun(api, run);
}

/** Returns why the pod cannot be asked; null: it was. @throws ApiError where the server is away */
async function askToStop(api: Api, { name, uid }: SeenPod, at: Date): Promise<ApiError | null> {
  try {
    await unlessGone(() =>
      withPatience({ limitMs: ASK_PATIENCE_MS, busyLimitMs: PATIENCE_MS }, () =>
        api.request({
          method: "PATCH",
          path: podPath(api, name),
          contentType: "application/merge-patch+json",
          body: { metadata: { uid, annotations: { [ANNOTATIONS.stop]: at.toISOString() } } },
        }),
      ),
    );
    return null;
  } catch (error) {
    if (!(error instanceof ApiError) || isBusy(error)) throw error;
    return error;
  }
}

/** Ends a run that has nothing to keep. The Job goes when its pods are gone, so that it is seen for as long as one of them works. */
export async function deleteRun(api: Api, { job, pods }: SeenRun): Promise<void> {
  if (job !== null) {
    if (job.deletedAt === null) await remove(api, jobPath(api, job.name), job, { propagationPolicy: "Foreground" });
    return;
  }
  // A Job that was deleted without its pods.
  for (const pod of pods) if (pod.deletedAt === null) await remove(api, podPath(api, pod.name), pod, {});
}

/** For a run that has ended. A pod on a node that is silent for good is forgotten, for nobody else will do it. */
export async function removeRun(api: Api, { job, pods }: SeenRun): Promise<void> {
  if (job !== null && job.deletedAt === null) {
    await remove(api, jobPath(api, job.name), job, { propagationPolicy: "Background" });
  }
  for (const pod of pods) {
    const isFinal = pod.phase === "Succeeded" || pod.phase === "Failed";
    // With its Job; but one that somebody deletes without its pods leaves them behind.
    if (job !== null && job.deletedAt === null && isFinal) continue;
    await remove(api, podPath(api, pod.name), pod, { gracePeriodSeconds: 0 });
  }
}

/**
 * Ends a run that will never begin. Its Job stays, with the reason, until it has been settled: the pod alone
 * is deleted, which the Job controller counts as the Job's failure. A Job without a pod fails by a deadline that has
 * passed: from then on its controller makes none.
 */
export async function giveUpRun(api: Api, { job, pods }: SeenRun, why: GivenUp): Promise<void> {
  if (job !== null && job.givenUp === null) {
    await unlessGone(() =>
      api.request({
        method: "PATCH",
        path: jobPath(api, job.name),
        contentType: "application/merge-patch+json",
        body: {
          metadata: { uid: job.uid, annotations: { [ANNOTATIONS.givenUp]: JSON.stringify(why) } },
          ...(pods.length === 0 ? { spec: { activeDeadlineSeconds: 1 } } : {}),
        },
      }),
    );
  }
  for (const pod of pods) if (pod.deletedAt === null) await remove(api, podPath(api, pod.name), pod, {});
}

async function remove(api: Api, path: string, { uid }: SeenObject, options: object): Promise<void> {
  await unlessGone(() =>
    withPatience({ limitMs: PATIENCE_MS }, () =>
      api.request({ method: "DELETE", path, body: { ...options, preconditions: { uid } } }),
    ),
  );
}

/** Not found, or another object by now: what was to end has ended. */
async function unlessGone(ask: () => Promise<unknown>): Promise<void> {
  try {
    await ask();
  } catch (error) {
    if (!isStatus(error, 404) && !isStatus(error, 409)) throw error;
  }
}

function jobPath(api: Api, name: string): string {
  return `/apis/batch/v1/namespaces/${api.namespace}/jobs/${name}`;
}

function podPath(api: Api, name: string): string {
  return `/api/v1/namespaces/${api.namespace}/pods/${name}`;
}
