/**
 * Everything that runs need of the cluster, looked at with our own login and the means that it has. Changes nothing;
 * with `tryPod` a short pod is made and taken away. What cannot be told is said to be unknown, never to be well.
 */
import { problem, unknown, type Check } from "../../../check.ts";
import type { CredentialSource } from "../../launcher.ts";
import { openApi, type Api } from "../api.ts";
import { ApiError } from "../api-error.ts";
import { labelsOf } from "../labels.ts";
import { podSecretName, type KubernetesLauncherSettings } from "../launcher-settings.ts";
import { readOperatorFiles, type OperatorFiles } from "../run-plan.ts";
import { checkRights } from "./account.ts";
import { checkDeployment } from "./deployment.ts";
import { checkPods, sampleSpec, type ProfileToCheck } from "./dry-run.ts";
import { checkNamespace } from "./namespace.ts";
import { checkPolicies, egressPolicies } from "./network.ts";
import { checkProfileSecrets } from "./profile-secrets.ts";
import { checkQuotas } from "./quotas.ts";
import { checkCredential, checkGitSecrets, checkPodSecret } from "./secrets.ts";
import { checkServer } from "./server.ts";
import { checkByPods } from "./trial.ts";

export type { ProfileToCheck } from "./dry-run.ts";

export interface ClusterQuestion {
  settings: KubernetesLauncherSettings;
  maxLiveRuns: number;
  credentials: readonly CredentialSource[];
  /** At least one. */
  profiles: readonly ProfileToCheck[];
  /** Start a pod of each image; null: do not. */
  tryPod: { timeoutMs: number } | null;
}

/** Never throws for what it is asked to find. */
export async function checkCluster(question: ClusterQuestion): Promise<Check[]> {
  const { files, checks } = readFiles(question.settings);
  let api: Api;
  try {
    api = await openApi(question.settings);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return [problem("cluster", error.message, "set KUBECONFIG, or --kubeconfig"), ...checks];
  }
  try {
    const { checks: found, user } = await checkServer(api, question.settings);
    return [...found, ...checks, ...(user === null ? [] : await lookAround(api, { ...question, user, files }))];
  } finally {
    await api.close();
  }
}

interface Looking extends ClusterQuestion {
  user: string;
  files: OperatorFiles;
}

/** In the order in which they are mended. */
async function lookAround(api: Api, looking: Looking): Promise<Check[]> {
  const { settings, credentials, profiles, files, user } = looking;
  const { instance, claudeSecret } = settings;
  const namespace = await checkNamespace(api).catch(unanswered("namespace"));
  // Everything else would say the same once more.
  if (namespace.status === "problem") return [namespace];
  const several = [
    group("permissions", checkRights(api, { user, instance, claudeSecret: claudeSecret.name })),
    group("pod login", checkPodSecret(api, instance)),
    ...credentials.map((one) => group(`claude login ${one.name}`, checkCredential(api, one, claudeSecret))),
    group("profile secrets", checkProfileSecrets(api, profiles, podSecretName(instance))),
    group("git logins", checkGitSecrets(api, files.gitSecrets)),
    group("engine pods", checkDeployment(api)),
    group("pods", checkPods(api, profiles, { settings, files })),
    group("quota", checkQuotas(api, settings, looking.maxLiveRuns)),
    group("network policy", checkRunsOfPods(api, looking)),
  ];
  return [namespace, ...(await Promise.all(several)).flat()];
}

/** What only a pod can tell; without one, what is written down. */
async function checkRunsOfPods(api: Api, { settings, profiles, files, tryPod }: Looking): Promise<Check[]> {
  const [first] = profiles;
  if (first === undefined) return [];
  const labels = labelsOf(sampleSpec(first, "none"), settings.instance);
  const policies = await egressPolicies(api, labels);
  if (tryPod !== null) return await checkByPods(api, profiles, { settings, files, policies, ...tryPod });
  const untried = unknown(
    "image",
    `whether nodes can pull ${settings.workerImage}: not tried`,
    "myzel doctor --try-pod starts a short pod with it",
  );
  return [untried, checkPolicies(policies)];
}

/** A server that does not answer one question may answer the others. */
async function group(name: string, asked: Promise<Check | Check[]>): Promise<Check[]> {
  return [await asked.catch(unanswered(name))].flat();
}

function unanswered(name: string): (error: unknown) => Check {
  return (error) => {
    if (!(error instanceof ApiError)) throw error;
    return problem(name, `The API server does not answer: ${error.message}`, null);
  };
}

/** Each file by itself: a mistake in one hides none in the other. */
function readFiles(settings: KubernetesLauncherSettings): { files: OperatorFiles; checks: Check[] } {
  const checks: Check[] = [];
  const read = (name: string, paths: Parameters<typeof readOperatorFiles>[0]): OperatorFiles => {
    try {
      return readOperatorFiles(paths);
    } catch (error) {
      checks.push(problem(name, (error as Error).message, "correct the file; the engine does not start with it"));
      return { template: {}, gitSecrets: [] };
    }
  };
  const { template } = read("pod template", { podTemplateFile: settings.podTemplateFile });
  const { gitSecrets } = read("git logins", { gitSecretsFile: settings.gitSecretsFile });
  return { files: { template, gitSecrets }, checks };
}
