/**
 * The Kubernetes launcher: one Job a run, in one namespace.
 *
 * Holds no state that the cluster does not hold: any engine sees and steers the jobs of any other. What it
 * keeps in memory is a picture of them, which a watch paints and a list repaints.
 */
import type { Launcher, Observation } from "../launcher.ts";
import { openApi, type Api } from "./api.ts";
import { createGate } from "./create-gate.ts";
import { claudeSecretOf, secretProblem } from "./credential.ts";
import { deleteRun, giveUpRun, removeRun, stopRun } from "./end-run.ts";
import type { KubernetesLauncherSettings } from "./launcher-settings.ts";
import { launchRun } from "./launch-run.ts";
import { jobManifest } from "./manifest.ts";
import { observeRun, shouldHavePod, type SeenRun } from "./observe-run.ts";
import { halvesOf } from "./phase-containers.ts";
import { createPodSecret } from "./pod-secret.ts";
import { readRunLog } from "./read-log.ts";
import { createPodRefusals, type PodRefusals } from "./refused-pod.ts";
import { createRunPicture, type RunPicture } from "./run-picture.ts";
import { planRun, readOperatorFiles } from "./run-plan.ts";

export type { KubernetesLauncherSettings } from "./launcher-settings.ts";

/** The engine follows many logs at a time. */
const LOG_POLL_MS = 2_000;

/** @throws ApiError where no cluster is configured; PodTemplateError or Error where a file of the settings is wrong */
export async function createKubernetesLauncher(settings: KubernetesLauncherSettings): Promise<Launcher> {
  const { instance, log } = settings;
  const files = readOperatorFiles(settings);
  const api = await openApi(settings);
  const gate = createGate(settings.createsAtOnce);
  const picture = createRunPicture({ api, instance, log });
  const podSecret = createPodSecret(api, settings);
  const refusals = createPodRefusals(api);
  const unannounced = createUnannounced();

  return {
    name: "kubernetes",
    host: null,
    credentialProblem: async (credential) => {
      const secret = claudeSecretOf(credential, settings.claudeSecret);
      return "problem" in secret ? secret.problem : await secretProblem(api, secret, log);
    },
    launch: async (spec) => {
      const job = jobManifest(planRun(spec, settings, files));
      await podSecret.ensure(halvesOf(spec.token).shared);
      picture.made(await launchRun(api, job, { gate, log }));
      return { podName: null };
    },
    observe: async (runIds) => {
      const seen = await observe({ api, picture, refusals }, settings, runIds);
      unannounced.note(seen, runIds);
      return seen.map(({ observation }) => observation);
    },
    watch: (wake) => {
      const stopAsking = unannounced.wakeFor(wake);
      const stopWatching = picture.watch(wake);
      return async () => {
        stopAsking();
        await stopWatching();
      };
    },
    stop: async (jobName, _reason, { atOnce = false } = {}) => {
      const run = await picture.run(jobName);
      if (run !== null) await (atOnce ? deleteRun(api, run) : stopRun(api, run, settings));
    },
    remove: async (jobName) => {
      const run = await picture.run(jobName);
      if (run !== null && observeRun(run, Date.now(), settings).observation.state === "ended")
        await removeRun(api, run);
    },
    logs: (jobName, reading) => readRunLog({ api, look: () => picture.run(jobName), pollMs: LOG_POLL_MS, ...reading }),
    close: async () => {
      await picture.close();
      await api.close();
    },
  };
}

interface Seen {
  run: SeenRun;
  observation: Observation;
}

/** What is seen of every run, or of these; those that will never begin are given up on the way. @throws ApiError */
async function observe(
  { api, picture, refusals }: { api: Api; picture: RunPicture; refusals: PodRefusals },
  settings: KubernetesLauncherSettings,
  only: ReadonlySet<string> | undefined,
): Promise<Seen[]> {
  const now = Date.now();
  const all: Seen[] = [];
  const hopeless: Promise<void>[] = [];
  const runs = [...(await picture.runs(only)).values()];
  const late = runs.flatMap((run) => (run.job !== null && shouldHavePod(run, now) ? [run.job] : []));
  const refused = await refusals.of(late, now);
  for (const run of runs) {
    const seen = observeRun(run, now, settings, refused.get(run.job?.uid ?? "") ?? null);
    picture.noteAlive(run.runId, seen.observation.state !== "ended");
    all.push({ run, observation: seen.observation });
    if (seen.hopeless !== null) hopeless.push(giveUp(run, seen.hopeless));
  }
  await Promise.all(hopeless);
  return all;

  async function giveUp(run: SeenRun, why: NonNullable<ReturnType<typeof observeRun>["hopeless"]>): Promise<void> {
    const log = settings.log.child({ run_id: run.runId, code: why.code, reason: why.error });
    try {
      await giveUpRun(api, run, why);
      log.warn("gave a run up that cannot begin");
    } catch (error) {
      log.error({ err: error }, "a run that cannot begin could not be given up");
    }
  }
}

/** What a watch does not tell is looked for so often. */
const LOOK_EVERY_MS = 5_000;
/** A new Job without a pod is looked at for so long; then the engine's own looks do. */
const PODLESS_FOR_MS = 60_000;

/** Runs of which something is to be found that no watch announces: why a new Job has no pod, that the time of a stop is up. */
function createUnannounced() {
  const runIds = new Set<string>();
  return {
    /** @param asked what was looked for; unset: everything */
    note: (seen: readonly Seen[], asked: ReadonlySet<string> = runIds): void => {
      for (const runId of [...asked]) runIds.delete(runId);
      const youngest = Date.now() - PODLESS_FOR_MS;
      for (const { run, observation } of seen) {
        if (observation.state !== "ended" && (isPodless(run, youngest) || isStopping(run))) runIds.add(run.runId);
      }
    },
    /** Returns the way to stop. */
    wakeFor: (wake: (runIds: readonly string[]) => void): (() => void) => {
      const timer = setInterval(() => {
        if (runIds.size > 0) wake([...runIds]);
      }, LOOK_EVERY_MS);
      return () => clearInterval(timer);
    },
  };
}

function isPodless({ job, pods }: SeenRun, youngest: number): boolean {
  return job !== null && job.createdAt > youngest && pods.length === 0;
}

/** Asked to stop, and not deleted yet. */
function isStopping({ job, pods }: SeenRun): boolean {
  return (
    job?.deletedAt === null && pods.some(({ stopAskedAt, deletedAt }) => stopAskedAt !== null && deletedAt === null)
  );
}
