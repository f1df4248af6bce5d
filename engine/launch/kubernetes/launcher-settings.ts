/** What the Kubernetes launcher is told. */
import type { Logger } from "pino";

export interface KubernetesLauncherSettings {
  /** Of the cluster; unset: the service account's inside a cluster, else the user's own configuration. */
  kubeconfig?: string | undefined;
  /** Where runs happen; unset: the service account's namespace, or the one of the configuration's context. */
  namespace?: string | undefined;
  /** Tells installations apart that share a namespace. */
  instance: string;
  /** For runs whose profile names no image. */
  workerImage: string;
  /** Limits of each phase where the profile names none; Kubernetes quantities. */
  cpu: string;
  memory: string;
  /** Of the workspace, and of what a run may write in all. */
  disk: string;
  /** The Secret and key of the credential `default`. */
  claudeSecret: { name: string; key: string };
  /** YAML files of the operator: what is added to every pod, and which Secret is for which repository. */
  podTemplateFile?: string | undefined;
  gitSecretsFile?: string | undefined;
  /** After so long without its image or its configuration a run is given up. */
  stuckAfterMs: number;
  /** What a run that is asked to stop gets to keep what it leaves, before its Job is deleted; default 90 s. */
  keepLimitMs?: number | undefined;
  /** Most objects that are being created at any moment. */
  createsAtOnce: number;
  /** The pod's login: for checkout and publish. */
  podDatabaseUrl: string;
  modelBaseUrl?: string | undefined;
  cloneDepth?: number | undefined;
  /** Of a merge, for the checks of its pull request; default: the phase's own. */
  checksWaitSeconds?: number | undefined;
  log: Logger;
}

/** The Secret that checkout and publish of all runs take the database's address and the tokens' shared half from. */
export function podSecretName(instance: string): string {
  return `${instance}-pods`;
}

export const POD_SECRET_KEYS = { databaseUrl: "database-url", tokenHalf: "token-half" } as const;
