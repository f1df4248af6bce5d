/** Everything that a run's manifest depends on: the launch, the settings, the operator's files. */
import { LaunchError, type LaunchSpec, type SecretSource } from "../launcher.ts";
import { claudeSecretOf } from "./credential.ts";
import { gitSecretOf, readGitSecrets, type GitSecretRule } from "./git-secrets.ts";
import { podSecretName, type KubernetesLauncherSettings } from "./launcher-settings.ts";
import type { RunPlan } from "./phase-containers.ts";
import { layOver, parsePodTemplate, readPodTemplate, type PodTemplate } from "./pod-template.ts";

/** What the operator wrote in files, read once. */
export interface OperatorFiles {
  template: PodTemplate;
  gitSecrets: GitSecretRule[];
}

/** @throws PodTemplateError or Error with the file's path and every mistake */
export function readOperatorFiles(paths: {
  podTemplateFile?: string | undefined;
  gitSecretsFile?: string | undefined;
}): OperatorFiles {
  const { podTemplateFile, gitSecretsFile } = paths;
  return {
    template: podTemplateFile === undefined ? {} : readPodTemplate(podTemplateFile),
    gitSecrets: gitSecretsFile === undefined ? [] : readGitSecrets(gitSecretsFile),
  };
}

/** @throws LaunchError where the credential is of another launcher's kind, or the profile's secrets or pod template cannot be used */
export function planRun(spec: LaunchSpec, settings: KubernetesLauncherSettings, files: OperatorFiles): RunPlan {
  const claudeSecret = claudeSecretOf(spec.credential, settings.claudeSecret);
  if ("problem" in claudeSecret) throw new LaunchError("launch_failed", claudeSecret.problem);
  demandSecrets(spec, podSecretName(settings.instance));
  return {
    spec,
    settings,
    template: templateOf(spec, files.template),
    gitSecret: gitSecretOf(spec.repoUrl, files.gitSecrets),
    claudeSecret,
  };
}

function demandSecrets({ profile, secrets }: LaunchSpec, ofPods: string): void {
  for (const [name, source] of Object.entries(secrets ?? {})) {
    demandSecret(source, `the secret ${name} of the profile "${profile ?? ""}"`, ofPods);
  }
}

/**
 * That a pod can have it; whether the Secret is there its pod shows.
 * @param ofPods the Secret that no agent may have
 * @throws LaunchError (`pod_refused`: no repetition mends it)
 */
export function demandSecret(
  source: SecretSource,
  whose: string,
  ofPods: string,
): asserts source is Extract<SecretSource, { secret_name: string }> {
  const what = whose.replace(/^the/, "The");
  if (!("secret_name" in source)) {
    const where = "env_var" in source ? "a variable" : "a file";
    const mend = "runs are pods here: set its secret_name and secret_key in profiles.secrets.";
    throw new LaunchError("pod_refused", `${what} lies in ${where} of the engine, and ${mend}`);
  }
  if (source.secret_name === ofPods) {
    throw new LaunchError(
      "pod_refused",
      `${what} names ${ofPods}, which is for checkout and publish: no agent may have it.`,
    );
  }
}

/** The profile's over the operator's. No repetition mends one that cannot be used. */
function templateOf({ profile, podTemplate }: LaunchSpec, ofAll: PodTemplate): PodTemplate {
  if (podTemplate === undefined || podTemplate === null) return ofAll;
  try {
    return layOver(ofAll, parsePodTemplate(podTemplate));
  } catch (error) {
    const whose = profile === undefined ? "The profile's pod_template" : `The pod_template of the profile "${profile}"`;
    throw new LaunchError("pod_refused", `${whose} cannot be used: ${(error as Error).message}`, { cause: error });
  }
}
