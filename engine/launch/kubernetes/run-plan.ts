/** Everything that a run's manifest depends on: the launch, the settings, the operator's files. */
import { LaunchError, type LaunchSpec } from "../launcher.ts";
import { claudeSecretOf } from "./credential.ts";
import { gitSecretOf, readGitSecrets, type GitSecretRule } from "./git-secrets.ts";
import type { KubernetesLauncherSettings } from "./launcher-settings.ts";
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

/** @throws LaunchError where the credential is of another launcher's kind, or the profile's pod template cannot be used */
export function planRun(spec: LaunchSpec, settings: KubernetesLauncherSettings, files: OperatorFiles): RunPlan {
  const claudeSecret = claudeSecretOf(spec.credential, settings.claudeSecret);
  if ("problem" in claudeSecret) throw new LaunchError("launch_failed", claudeSecret.problem);
  return {
    spec,
    settings,
    template: templateOf(spec, files.template),
    gitSecret: gitSecretOf(spec.repoUrl, files.gitSecrets),
    claudeSecret,
  };
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
