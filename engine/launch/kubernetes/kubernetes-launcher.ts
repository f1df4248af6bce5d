/**
 * The Kubernetes launcher: one Job a run, in one namespace.
 *
 * Holds no state that the cluster does not hold: any engine sees and steers the jobs of any other. What it
 * keeps in memory is a picture of them, which a watch paints and a list repaints.
 */
import type { Launcher, LaunchSpec, Observation } from "../launcher.ts";
import { LaunchError } from "../launcher.ts";
import { openApi, type Api } from "./api.ts";
import { createGate } from "./create-gate.ts";
import { claudeSecretOf, secretProblem } from "./credential.ts";
import { giveUpRun, removeRun, stopRun } from "./end-run.ts";
import { gitSecretOf, readGitSecrets, type GitSecretRule } from "./git-secrets.ts";
import type { KubernetesLauncherSettings } from "./launcher-settings.ts";
import { launchRun } from "./launch-run.ts";
import { jobManifest } from "./manifest.ts";
import { observeRun, type SeenRun } from "./observe-run.ts";
import { halvesOf } from "./phase-containers.ts";
import { createPodSecret } from "./pod-secret.ts";
import { readPodTemplate, type PodTemplate } from "./pod-template.ts";
import { readRunLog } from "./read-log.ts";
import { createRunPicture, type RunPicture } from "./run-picture.ts";

export type { KubernetesLauncherSettings } from "./launcher-settings.ts";

/** What the operator wrote in files, read once. */
interface OperatorFiles {
  template: PodTemplate;
  gitSecrets: GitSecretRule[];
}

/** @throws ApiError where no cluster is configured; PodTemplateError or Error where a file of the settings is wrong */
export async function createKubernetesLauncher(settings: KubernetesLauncherSettings): Promise<Launcher> {
  const { instance, log } = settings;
  const files = readFiles(settings);
  const api = await openApi(settings);
  const gate = createGate(settings.createsAtOnce);
  const picture = createRunPicture({ api, instance, log });
  const podSecret = createPodSecret(api, settings);

  return {
    name: "kubernetes",
    host: null,
    credentialProblem: async (credential) => {
      const secret = claudeSecretOf(credential, settings.claudeSecret);
      return "problem" in secret ? secret.problem : await secretProblem(api, secret, log);
    },
    launch: async (spec) => {
      const job = jobManifest(planOf(spec, settings, files));
      await podSecret.ensure(halvesOf(spec.token).shared);
      picture.made(await launchRun(api, job, { gate, log }));
      return { podName: null };
    },
    observe: () => observe(api, picture, settings),
    watch: (wake) => picture.watch(wake),
    stop: async (jobName) => {
      const run = await picture.run(jobName);
      if (run !== null) await stopRun(api, run);
    },
    remove: async (jobName) => {
      const run = await picture.run(jobName);
      if (run !== null && observeRun(run, Date.now(), settings).observation.state === "ended")
        await removeRun(api, run);
    },
    logs: (jobName, { follow, signal }) => readRunLog({ api, look: () => picture.run(jobName), follow, signal }),
    close: async () => {
      await picture.close();
      await api.close();
    },
  };
}

function readFiles({ podTemplateFile, gitSecretsFile }: KubernetesLauncherSettings): OperatorFiles {
  return {
    template: podTemplateFile === undefined ? {} : readPodTemplate(podTemplateFile),
    gitSecrets: gitSecretsFile === undefined ? [] : readGitSecrets(gitSecretsFile),
  };
}

/** @throws LaunchError where the credential is of another launcher's kind */
function planOf(spec: LaunchSpec, settings: KubernetesLauncherSettings, { template, gitSecrets }: OperatorFiles) {
  const claudeSecret = claudeSecretOf(spec.credential, settings.claudeSecret);
  if ("problem" in claudeSecret) throw new LaunchError("launch_failed", claudeSecret.problem);
  return { spec, settings, template, gitSecret: gitSecretOf(spec.repoUrl, gitSecrets), claudeSecret };
}

/** What is seen of every run; those that will never begin are given up on the way. @throws ApiError */
async function observe(api: Api, picture: RunPicture, settings: KubernetesLauncherSettings): Promise<Observation[]> {
  const now = Date.now();
  const observations: Observation[] = [];
  const hopeless: Promise<void>[] = [];
  for (const run of (await picture.runs()).values()) {
    const seen = observeRun(run, now, settings);
    picture.noteAlive(run.runId, seen.observation.state !== "ended");
    observations.push(seen.observation);
    if (seen.hopeless !== null) hopeless.push(giveUp(run, seen.hopeless));
  }
  await Promise.all(hopeless);
  return observations;

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
