/**
 * The environment of each phase, built from nothing: what is not listed here no phase gets. Pure.
 *
 * Who holds what is the contract's table: the agent never sees the run's token, the database or git.
 */
import { join } from "node:path";
import { SECRET_PREFIX, type Phase, type PhaseEnvironment } from "../../../worker-image/contract.ts";
import { RUN_MARK } from "./end-processes.ts";
import type { GitLogin } from "./git-login.ts";
import { FILE_RELAY_URL } from "./git-remote.ts";
import { RUN_FILES, type RunRecord } from "./run-directory.ts";

/** What the supervisor has found out for the phases, secrets included. */
export interface PhaseFacts {
  directory: string;
  record: RunRecord;
  podName: string;
  token: string;
  databaseUrl: string;
  /** Of an HTTP remote; null: none. */
  gitLogin: GitLogin | null;
  /** Address whose connections go through the relay as if it were an SSH remote. */
  relayedUrl: string | null;
  /** Whether git's SSH connections go through the relay. */
  relay: boolean;
  /** The engine's proxies and certificates, which git needs to reach the remote. */
  network: Record<string, string>;
  claude: { token: string } | { directory: string } | null;
  /** Values of the profile's secrets, by the agent's variable. */
  profileSecrets: Record<string, string>;
}

/** @param mirrorIsReady the mirror exists, and this phase may read it */
export function phaseEnvironment(phase: Phase, facts: PhaseFacts, mirrorIsReady: boolean): PhaseEnvironment {
  const common = commonVariables(phase, facts);
  switch (phase) {
    case "checkout":
      return {
        ...common,
        ...databaseVariables(facts),
        ...gitVariables(facts),
        ...cloneVariables(facts, mirrorIsReady),
      };
    case "agent":
      return { ...common, ...claudeVariables(facts), ...secretVariables(facts), ...modelVariables(facts.record) };
    case "publish":
      return {
        ...common,
        ...databaseVariables(facts),
        ...gitVariables(facts),
        ...cloneVariables(facts, mirrorIsReady),
        ...claudeVariables(facts),
        ...secretVariables(facts),
        MYZEL_PRIVATE_DIR: join(facts.directory, RUN_FILES.private),
        MYZEL_SPOOL_DIR: join(facts.directory, RUN_FILES.spool),
      };
  }
}

const NETWORK = /^(https?_proxy|all_proxy|no_proxy|GIT_SSL_CAINFO)$/i;

/** Of an environment, what decides how the network is reached. */
export function networkVariables(environment: NodeJS.ProcessEnv): Record<string, string> {
  const chosen: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) if (value && NETWORK.test(name)) chosen[name] = value;
  return chosen;
}

/** The file in which a phase says in one sentence why it failed. */
export function terminationLog(directory: string, phase: Phase): string {
  return join(directory, `termination-${phase}`);
}

function commonVariables(phase: Phase, { directory, record }: PhaseFacts): PhaseEnvironment {
  const work = join(directory, RUN_FILES.work);
  // Publish must not meet what the agent left in its HOME, a .gitconfig for one.
  const publishHome = join(directory, RUN_FILES.publishHome);
  return {
    PATH: record.path,
    LANG: record.lang,
    ...(record.tz === null ? {} : { TZ: record.tz }),
    HOME: phase === "publish" ? publishHome : join(work, "home"),
    TMPDIR: phase === "publish" ? publishHome : join(work, "tmp"),
    // A record of an older engine has none.
    ...(record.compiled ? { NODE_COMPILE_CACHE: record.compiled } : {}),
    [RUN_MARK]: record.runId,
    MYZEL_PHASE: phase,
    MYZEL_WORKSPACE: work,
    MYZEL_RUN_ID: record.runId,
    MYZEL_TERMINATION_LOG: terminationLog(directory, phase),
  };
}

function databaseVariables(facts: PhaseFacts): PhaseEnvironment {
  return { MYZEL_DATABASE_URL: facts.databaseUrl, MYZEL_RUN_TOKEN: facts.token, MYZEL_BOUND_TO: facts.podName };
}

function gitVariables(facts: PhaseFacts): PhaseEnvironment {
  const { record, gitLogin, relayedUrl } = facts;
  const socket = join(facts.directory, RUN_FILES.relay);
  return {
    ...facts.network,
    ...(gitLogin === null ? {} : { MYZEL_GIT_USERNAME: gitLogin.username, MYZEL_GIT_PASSWORD: gitLogin.password }),
    ...(facts.relay ? relayVariables(record, socket) : {}),
    ...(relayedUrl === null ? {} : { MYZEL_GIT_INSTEAD_OF: `${relayedUrl}=${FILE_RELAY_URL}` }),
  };
}

/**
 * git hands on no variable of the phase's, so that of Node stands in the command. Its kind is said, else git starts the
 * program twice a connection, once to ask.
 */
function relayVariables({ node, relayClient, compiled }: RunRecord, socket: string): PhaseEnvironment {
  const cache = compiled ? `NODE_COMPILE_CACHE=${shellQuoted(compiled)} ` : "";
  return {
    GIT_SSH_COMMAND: `${cache}${[node, relayClient, socket].map(shellQuoted).join(" ")}`,
    GIT_SSH_VARIANT: "ssh",
  };
}

function cloneVariables({ record }: PhaseFacts, mirrorIsReady: boolean): PhaseEnvironment {
  return {
    ...(record.mirror !== null && mirrorIsReady ? { MYZEL_REPO_MIRROR: record.mirror.path } : {}),
    ...(record.cloneDepth === null ? {} : { MYZEL_CLONE_DEPTH: String(record.cloneDepth) }),
    // A record of an older engine has none.
    ...(record.checksWaitSeconds ? { MYZEL_CHECKS_WAIT_SECONDS: String(record.checksWaitSeconds) } : {}),
  };
}

function claudeVariables({ claude, directory }: PhaseFacts): PhaseEnvironment {
  if (claude === null) return {};
  return "token" in claude
    ? { CLAUDE_CODE_OAUTH_TOKEN: claude.token }
    : { MYZEL_CLAUDE_DIR: join(directory, RUN_FILES.claude) };
}

/** Under a prefix, for a name that means something to git or Node must have no effect on the phase itself. */
function secretVariables({ profileSecrets }: PhaseFacts): PhaseEnvironment {
  const secrets = Object.entries(profileSecrets);
  return Object.fromEntries(secrets.map(([name, value]) => [`${SECRET_PREFIX}${name}`, value]));
}

function modelVariables(record: RunRecord): PhaseEnvironment {
  return {
    ...(record.claude === null ? {} : { MYZEL_CLAUDE_PATH: record.claude }),
    ...(record.modelBaseUrl === null ? {} : { MYZEL_MODEL_BASE_URL: record.modelBaseUrl }),
  };
}

function shellQuoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
