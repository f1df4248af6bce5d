/**
 * The three containers of a run and what each gets to know. Pure.
 *
 * Who holds what is the contract's table: the agent gets the Claude login and the profile's secrets; what is secret
 * comes by reference to a Secret and never lies in the Job.
 */
import type { V1Container, V1EnvVar, V1ResourceRequirements, V1VolumeMount } from "@kubernetes/client-node";
import { PHASES, SECRET_PREFIX, type Phase } from "../../../worker-image/contract.ts";
import { LOGIN_FILE } from "../../../worker-image/claude-secrets.ts";
import type { LaunchSpec } from "../launcher.ts";
import type { GitSecret } from "./git-secrets.ts";
import { POD_SECRET_KEYS, podSecretName, type KubernetesLauncherSettings } from "./launcher-settings.ts";
import { ENTRYPOINT, PATHS, STOP_FILE, VOLUMES } from "./pod-layout.ts";
import type { PodTemplate } from "./pod-template.ts";

/** A run with everything that its manifest depends on. */
export interface RunPlan {
  spec: LaunchSpec;
  settings: KubernetesLauncherSettings;
  template: PodTemplate;
  /** Null: the repository needs none, or none is known. */
  gitSecret: GitSecret | null;
  claudeSecret: { name: string; key: string };
}

/** In the order in which they run. */
export function phaseContainers(plan: RunPlan): V1Container[] {
  return PHASES.map((phase) => ({
    name: phase,
    image: plan.spec.image ?? plan.settings.workerImage,
    imagePullPolicy: "IfNotPresent",
    command: [ENTRYPOINT, phase],
    workingDir: PATHS.workspace,
    env: environmentOf(phase, plan),
    resources: resourcesOf(plan),
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      readOnlyRootFilesystem: true,
    },
    volumeMounts: mountsOf(phase, plan),
  }));
}

/** A Secret whose key is the file of a `~/.claude` is mounted as that directory; any other key holds a token. */
export function isLoginDirectory({ key }: RunPlan["claudeSecret"]): boolean {
  return key === LOGIN_FILE;
}

/** The two halves of a run's token: one to be shown in its Job, one that lies in the pods' Secret. */
export function halvesOf(token: string): { own: string; shared: string } {
  const middle = token.length / 2;
  return { own: token.slice(0, middle), shared: token.slice(middle) };
}

function environmentOf(phase: Phase, plan: RunPlan): V1EnvVar[] {
  const common = [...plain(commonVariables(phase, plan.spec)), ...addedVariables(phase, plan.template)];
  const trusted = [...databaseVariables(plan), ...gitVariables(plan)];
  switch (phase) {
    case "checkout":
      return [...common, ...trusted];
    case "agent":
      return [...common, ...STOP, ...claudeVariables(plan), ...profileVariables(plan), ...modelVariables(plan)];
    case "publish":
      return [
        ...common,
        ...STOP,
        ...trusted,
        ...claudeVariables(plan),
        ...profileVariables(plan),
        ...plain({ MYZEL_PRIVATE_DIR: PATHS.private, MYZEL_SPOOL_DIR: `${PATHS.private}/spool` }),
      ];
  }
}

function commonVariables(phase: Phase, { runId }: LaunchSpec): Record<string, string> {
  // publish must not meet what the agent left in its HOME, a .gitconfig for one.
  const own = phase === "publish";
  return {
    LANG: "C.UTF-8",
    HOME: own ? PATHS.private : `${PATHS.workspace}/home`,
    TMPDIR: own ? PATHS.private : `${PATHS.workspace}/tmp`,
    MYZEL_PHASE: phase,
    MYZEL_WORKSPACE: PATHS.workspace,
    MYZEL_RUN_ID: runId,
    MYZEL_RUN_MARK: runId,
    MYZEL_TERMINATION_LOG: "/dev/termination-log",
  };
}

function addedVariables(phase: Phase, { spec }: PodTemplate): V1EnvVar[] {
  return (spec?.env ?? []).filter((one) => one.phase === phase).map(({ name, value }) => ({ name, value }));
}

function databaseVariables({ spec, settings }: RunPlan): V1EnvVar[] {
  const secret = podSecretName(settings.instance);
  return [
    { name: "MYZEL_BOUND_TO", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
    secretVariable("MYZEL_DATABASE_URL", secret, POD_SECRET_KEYS.databaseUrl),
    secretVariable("MYZEL_TOKEN_HALF", secret, POD_SECRET_KEYS.tokenHalf),
    // Put together by the kubelet: the Job shows only the run's own half.
    { name: "MYZEL_RUN_TOKEN", value: `${halvesOf(spec.token).own}$(MYZEL_TOKEN_HALF)` },
  ];
}

function gitVariables({ gitSecret, settings }: RunPlan): V1EnvVar[] {
  const { cloneDepth, checksWaitSeconds } = settings;
  const given = {
    ...(cloneDepth === undefined ? {} : { MYZEL_CLONE_DEPTH: String(cloneDepth) }),
    ...(checksWaitSeconds === undefined ? {} : { MYZEL_CHECKS_WAIT_SECONDS: String(checksWaitSeconds) }),
  };
  if (gitSecret === null) return plain(given);
  if (gitSecret.kind === "ssh") return plain({ ...given, GIT_SSH_COMMAND: SSH });
  return [
    ...plain(given),
    secretVariable("MYZEL_GIT_USERNAME", gitSecret.name, "username", "optional"),
    secretVariable("MYZEL_GIT_PASSWORD", gitSecret.name, "password"),
  ];
}

/** For the phases that have, or are, what a stop keeps. */
const STOP = plain({ MYZEL_STOP_FILE: `${PATHS.stop}/${STOP_FILE}` });

/** Nobody is asked, nothing of the image is read, and only hosts of the Secret are believed. */
const SSH = [
  "ssh -F /dev/null",
  `-i ${PATHS.gitKey}/ssh-privatekey`,
  "-o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=30",
  `-o StrictHostKeyChecking=yes -o UserKnownHostsFile=${PATHS.gitKey}/known_hosts`,
].join(" ");

function claudeVariables({ claudeSecret }: RunPlan): V1EnvVar[] {
  if (isLoginDirectory(claudeSecret)) return plain({ MYZEL_CLAUDE_DIR: PATHS.claude });
  return [secretVariable("CLAUDE_CODE_OAUTH_TOKEN", claudeSecret.name, claudeSecret.key)];
}

/** Under a prefix, for a name that means something to git or Node must have no effect on the phase itself. */
function profileVariables({ spec }: RunPlan): V1EnvVar[] {
  return Object.entries(spec.secrets ?? {}).flatMap(([name, source]) =>
    "secret_name" in source ? [secretVariable(`${SECRET_PREFIX}${name}`, source.secret_name, source.secret_key)] : [],
  );
}

function modelVariables({ settings }: RunPlan): V1EnvVar[] {
  return settings.modelBaseUrl === undefined ? [] : plain({ MYZEL_MODEL_BASE_URL: settings.modelBaseUrl });
}

function resourcesOf({ spec, settings }: RunPlan): V1ResourceRequirements {
  const cpu = spec.cpu ?? settings.cpu;
  const memory = spec.memory ?? settings.memory;
  return {
    limits: { cpu, memory, "ephemeral-storage": settings.disk },
    // An agent mostly waits for its model. Memory is asked for in full: a node that lends it twice kills agents.
    requests: { cpu: requestedCpu(cpu), memory, "ephemeral-storage": "100Mi" },
  };
}

/** A quarter of a cpu quantity; one that is written in an unusual way is asked for in full. */
export function requestedCpu(cpu: string): string {
  const match = /^(\d+(?:\.\d+)?)(m?)$/.exec(cpu);
  if (match?.[1] === undefined) return cpu;
  const millis = Number(match[1]) * (match[2] === "m" ? 1 : 1000);
  return `${Math.max(1, Math.round(millis / 4))}m`;
}

function mountsOf(phase: Phase, { gitSecret, claudeSecret, template }: RunPlan): V1VolumeMount[] {
  const mounts: V1VolumeMount[] = [{ name: VOLUMES.workspace, mountPath: PATHS.workspace }];
  if (phase === "agent") mounts.push({ name: VOLUMES.tmp, mountPath: PATHS.tmp });
  if (phase === "publish") mounts.push({ name: VOLUMES.private, mountPath: PATHS.private });
  if (phase !== "checkout") mounts.push({ name: VOLUMES.stop, mountPath: PATHS.stop, readOnly: true });
  if (phase !== "agent" && gitSecret?.kind === "ssh") {
    mounts.push({ name: VOLUMES.gitKey, mountPath: PATHS.gitKey, readOnly: true });
  }
  if (phase !== "checkout" && isLoginDirectory(claudeSecret)) {
    mounts.push({ name: VOLUMES.claude, mountPath: PATHS.claude, readOnly: true });
  }
  for (const { phase: wanted, ...mount } of template.spec?.volumeMounts ?? []) {
    if (wanted === phase) mounts.push(defined(mount));
  }
  return mounts;
}

function plain(variables: Record<string, string>): V1EnvVar[] {
  return Object.entries(variables).map(([name, value]) => ({ name, value }));
}

function secretVariable(name: string, secret: string, key: string, need: "optional" | "needed" = "needed"): V1EnvVar {
  const optional = need === "optional" ? { optional: true } : {};
  return { name, valueFrom: { secretKeyRef: { name: secret, key, ...optional } } };
}

/** Without the fields that are undefined, which the manifest's type does not take. */
function defined(mount: { [Key in keyof V1VolumeMount]: V1VolumeMount[Key] | undefined }): V1VolumeMount {
  return Object.fromEntries(
    Object.entries(mount).filter(([, value]) => value !== undefined),
  ) as unknown as V1VolumeMount;
}
