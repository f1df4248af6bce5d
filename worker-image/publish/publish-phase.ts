/** What the steps of publish share: the phase's variables, its database and its masker; and the work that it is about. */
import type { Brief } from "../contract.ts";
import type { PodDatabase } from "../database.ts";
import { localGit, remoteGit } from "../git/remote-access.ts";
import type { Masker } from "../masking.ts";
import { namedSecrets } from "../run-secrets.ts";
import type { Work } from "./remote-copy.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface PublishOptions {
  signal: AbortSignal;
  databasePatienceMs?: number;
  /** How long a remote that does not answer is tried again. */
  networkPatienceMs?: number;
}

export const PUBLISH_VARIABLES = [
  "MYZEL_WORKSPACE",
  "MYZEL_RUN_ID",
  "MYZEL_DATABASE_URL",
  "MYZEL_RUN_TOKEN",
  "MYZEL_BOUND_TO",
  "MYZEL_PRIVATE_DIR",
  "MYZEL_SPOOL_DIR",
] as const;

export interface PublishPhase {
  variables: Record<(typeof PUBLISH_VARIABLES)[number], string>;
  environment: Environment;
  options: PublishOptions;
  database: PodDatabase;
  masker: Masker;
}

const NETWORK_PATIENCE_MS = 120_000;

/** The work of the brief; null where it names no repository. */
export function workOf({ environment, options, variables }: PublishPhase, brief: Brief): Work | null {
  const { repo_url: repoUrl, branch } = brief;
  if (repoUrl === null || branch === null) return null;
  const privateDir = variables.MYZEL_PRIVATE_DIR;
  const where = { home: privateDir, signal: options.signal };
  const depth = Number(environment["MYZEL_CLONE_DEPTH"] || 0);
  return {
    brief,
    repoUrl,
    branch,
    workspace: variables.MYZEL_WORKSPACE,
    privateDir,
    secrets: namedSecrets(environment),
    mirror: environment["MYZEL_REPO_MIRROR"] || null,
    depth: Number.isSafeInteger(depth) && depth > 0 ? depth : null,
    remoteGit: (remote) => remoteGit(environment, remote, where),
    localGit: localGit(environment, where),
    networkPatienceMs: options.networkPatienceMs ?? NETWORK_PATIENCE_MS,
  };
}
