/**
 * One short pod for `doctor --try-pod`: made as a run's pod is made, with the same image, isolation and labels, and
 * gone when it has told. No engine takes it for a run of its own: it belongs to another instance.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { V1Container, V1Job } from "@kubernetes/client-node";
import type { LaunchSpec } from "../../launcher.ts";
import type { Api } from "../api.ts";
import { ApiError, isStatus } from "../api-error.ts";
import { LABELS } from "../labels.ts";
import type { KubernetesLauncherSettings } from "../launcher-settings.ts";
import { jobManifest } from "../manifest.ts";
import { observeRun, type SeenRun } from "../observe-run.ts";
import { createPodRefusals } from "../refused-pod.ts";
import { planRun, type OperatorFiles } from "../run-plan.ts";
import { seenJob, seenPod, type JobJson, type PodJson, type SeenPod } from "../seen.ts";
import { problemOf } from "../stuck-pod.ts";

export interface TrialEnd {
  /** Why there was nothing to tell; null: it ran. */
  problem: string | null;
  /** It may begin yet, or another time. */
  waits: boolean;
  /** What its program left. */
  message: string;
  node: string | null;
  seconds: number;
}

const LOOK_MS = 500;
/** A net for a doctor that is killed: then nobody else takes the Job away. */
const NET_SECONDS = 600;
const PROGRAM = "/opt/myzel/bin/node";

export interface Trial {
  settings: KubernetesLauncherSettings;
  files: OperatorFiles;
  spec: LaunchSpec;
  script: string;
  timeoutMs: number;
}

/** Makes it, waits for its end, takes it away. @throws ApiError where the server does not let us, or does not answer */
export async function tryPod(api: Api, trial: Trial): Promise<TrialEnd> {
  const job = trialJob(trial);
  const path = `/apis/batch/v1/namespaces/${api.namespace}/jobs`;
  const began = performance.now();
  const made = (await api.request({ method: "POST", path, body: job })) as JobJson;
  try {
    const end = await waitForEnd(api, made, trial.timeoutMs);
    return { ...end, seconds: Math.round((performance.now() - began) / 100) / 10 };
  } finally {
    const body = { propagationPolicy: "Background", preconditions: { uid: made.metadata.uid } };
    await api.request({ method: "DELETE", path: `${path}/${made.metadata.name}`, body }).catch((error: unknown) => {
      if (!isStatus(error, 404)) throw error;
    });
  }
}

/** The Job of a run with one container instead of three phases, and no secret. Pure but for the name. */
function trialJob({ settings, files, spec, script }: Trial): V1Job {
  // No name of an instance has a dot.
  const own = { ...settings, instance: `${settings.instance}.doctor` };
  const job = jobManifest(planRun(spec, own, files));
  const name = `myzel-doctor-${randomUUID().slice(0, 8)}`;
  const template = job.spec?.template;
  const pod = template?.spec;
  const agent = pod?.initContainers?.find((container) => container.name === "agent");
  if (job.spec === undefined || pod === undefined || pod === null || agent === undefined)
    throw new Error("a run has no agent");
  const one: V1Container = { ...agent, command: [PROGRAM, "--eval", script], workingDir: "/", env: [] };
  return {
    ...job,
    metadata: { ...job.metadata, name },
    spec: {
      ...job.spec,
      activeDeadlineSeconds: NET_SECONDS,
      ttlSecondsAfterFinished: NET_SECONDS,
      template: { ...template, spec: { ...pod, initContainers: [], containers: [one] } },
    },
  };
}

async function waitForEnd(api: Api, made: JobJson, timeoutMs: number): Promise<Omit<TrialEnd, "seconds">> {
  const refusals = createPodRefusals(api);
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const run = await look(api, made);
    const pod = run.pods.at(-1);
    const now = Date.now();
    const refusal =
      run.job === null || pod !== undefined ? undefined : (await refusals.of([run.job], now)).get(run.job.uid);
    const end = endOf(pod);
    if (end !== null) return end;
    const problem = pod === undefined ? refusal : problemOf(pod);
    if (problem?.givenUp !== undefined) return unable(problem.givenUp.error, { pod, waits: false });
    if (performance.now() > deadline) {
      const { waiting = "its pod has not begun" } = observeRun(
        run,
        now,
        { stuckAfterMs: Infinity },
        refusal,
      ).observation;
      return unable(`Not within ${Math.round(timeoutMs / 1000)} s: ${waiting}`, { pod, waits: true });
    }
    await delay(LOOK_MS);
  }
}

/** Jobs cannot be read one by one where their pods can: both by their label. */
async function look(api: Api, made: JobJson): Promise<SeenRun> {
  const job = seenJob(made);
  const query = { labelSelector: `batch.kubernetes.io/job-name=${made.metadata.name}` };
  const { items } = (await api.request({ path: `/api/v1/namespaces/${api.namespace}/pods`, query })) as {
    items: PodJson[];
  };
  const current = await api
    .request({ path: `/apis/batch/v1/namespaces/${api.namespace}/jobs/${made.metadata.name}` })
    .then((json) => seenJob(json as JobJson))
    .catch((error: unknown) => {
      if (error instanceof ApiError) return job;
      throw error;
    });
  return { runId: made.metadata.labels?.[LABELS.run] ?? "", job: current, pods: items.map(seenPod) };
}

function endOf(pod: SeenPod | undefined): Omit<TrialEnd, "seconds"> | null {
  const container = pod?.containers.find(({ phase }) => phase === "agent");
  if (pod === undefined || container?.state !== "terminated") {
    if (pod?.phase !== "Failed") return null;
    return unable(pod.message || `Its pod has failed (${pod.reason || "no reason was given"}).`, { pod, waits: false });
  }
  if (container.exitCode === 0) return { problem: null, waits: false, message: container.message, node: pod.nodeName };
  const said = [container.reason, container.message].filter(Boolean).join(": ");
  return unable(`${PROGRAM} ends with exit code ${container.exitCode} (${said}): is it a worker image?`, {
    pod,
    waits: false,
  });
}

function unable(
  problem: string,
  { pod, waits }: { pod: SeenPod | undefined; waits: boolean },
): Omit<TrialEnd, "seconds"> {
  return { problem, waits, message: "", node: pod?.nodeName ?? null };
}
