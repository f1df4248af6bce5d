/**
 * What an operator may add to pods: a YAML file in the shape of a pod template for those of all runs, and the
 * column `profiles.pod_template` in the same shape for those of one profile, laid over it. Checked here.
 *
 * Labels and annotations also go onto the Job, so that a Kueue queue name works. What would weaken a
 * pod's security, or change what its phases are, is refused by name with a sentence. Unknown fields are
 * refused too: a typing error must not pass as an addition.
 *
 *     metadata:
 *       labels: { kueue.x-k8s.io/queue-name: agents }
 *     spec:
 *       nodeSelector: { pool: agents }
 *       volumes:
 *         - { name: cache, persistentVolumeClaim: { claimName: npm-cache, readOnly: true } }
 *       volumeMounts:
 *         - { phase: agent, name: cache, mountPath: /cache, readOnly: true }
 *       env:
 *         - { phase: checkout, name: HTTPS_PROXY, value: "http://proxy:3128" }
 */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { PHASES } from "../../../worker-image/contract.ts";
import { RESERVED_KEYS, RESERVED_PREFIXES } from "./labels.ts";
import { parseYaml } from "./yaml.ts";
import { OWN_PATHS, OWN_VOLUMES, SYSTEM_PATHS } from "./pod-layout.ts";

/** It is no template that could be used. The message names every mistake. */
class PodTemplateError extends Error {
  override readonly name = "PodTemplateError";
}

const PRIVILEGE = "it would weaken the pod's isolation";
const OURS = "it belongs to the launcher";

/** Fields of a pod's spec that people may look for here, and why they get them not. */
const REFUSED: Readonly<Record<string, string>> = {
  hostNetwork: PRIVILEGE,
  hostPID: PRIVILEGE,
  hostIPC: PRIVILEGE,
  hostUsers: PRIVILEGE,
  shareProcessNamespace: "publish would be within the agent's reach",
  securityContext: "pods meet the `restricted` standard as they are, and any other value would weaken it",
  serviceAccount: "agents never talk to the cluster",
  serviceAccountName: "agents never talk to the cluster",
  automountServiceAccountToken: "agents never talk to the cluster",
  enableServiceLinks: "it would put other variables into the phases' environment",
  ephemeralContainers: "a run has its three phases and no other container",
  initContainers: "a run has its three phases and no other container",
  containers: "a run has its three phases and no other container; volumes are mounted with `spec.volumeMounts`",
  restartPolicy: "a run has one attempt; the engine repeats it",
  activeDeadlineSeconds: "set the profile's time_limit instead",
  nodeName: "use nodeSelector",
  hostname: OURS,
  subdomain: OURS,
  resources: "set cpu and memory in the profile",
};

/** The kinds of volumes that the `restricted` standard allows. */
const VOLUME_KINDS = ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "secret"];

const texts = z.record(z.string(), z.string());
const anything = z.record(z.string(), z.unknown());

const labels = texts.superRefine((given, context) => {
  for (const key of Object.keys(given)) {
    if (RESERVED_KEYS.includes(key) || RESERVED_PREFIXES.some((prefix) => key.startsWith(prefix))) {
      context.addIssue({ code: "custom", path: [key], message: OURS });
    }
  }
});

/** Where older clusters take a container's confinement from. */
const CONFINEMENT = /^(container\.apparmor\.security|(container\.)?seccomp\.security)\./;

const annotations = labels.superRefine((given, context) => {
  for (const key of Object.keys(given)) {
    if (CONFINEMENT.test(key)) context.addIssue({ code: "custom", path: [key], message: `is refused: ${PRIVILEGE}` });
  }
});

const volume = z.looseObject({ name: z.string().min(1) }).superRefine((given, context) => {
  const { name, ...source } = given;
  const [kind, ...others] = Object.keys(source);
  if (OWN_VOLUMES.includes(name)) context.addIssue({ code: "custom", message: `the name "${name}" is taken` });
  if (kind === undefined || others.length > 0 || !VOLUME_KINDS.includes(kind)) {
    const message = `a volume is one of ${VOLUME_KINDS.join(", ")}; ${kind ?? "nothing"} is refused: ${PRIVILEGE}`;
    context.addIssue({ code: "custom", message });
  }
});

const volumeMount = z.strictObject({
  phase: z.enum(PHASES),
  name: z.string().min(1),
  mountPath: z
    .string()
    .regex(/^\/[^:]+$/, "must be an absolute path")
    .refine((path) => !hidesOwnPath(path), "would hide what the phases need"),
  subPath: z.string().optional(),
  readOnly: z.boolean().optional(),
});

/** How the network is reached; everything else of a phase's environment is the launcher's. */
const NETWORK = /^(https?_proxy|all_proxy|no_proxy|GIT_SSL_CAINFO)$/i;

const variable = z.strictObject({
  phase: z.enum(PHASES),
  name: z.string().regex(NETWORK, "is none of HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, GIT_SSL_CAINFO"),
  value: z.string(),
});

const schema = z.strictObject({
  metadata: z.strictObject({ labels: labels.optional(), annotations: annotations.optional() }).optional(),
  spec: z
    .strictObject({
      nodeSelector: texts.optional(),
      tolerations: z.array(anything).optional(),
      affinity: anything.optional(),
      topologySpreadConstraints: z.array(anything).optional(),
      imagePullSecrets: z.array(z.strictObject({ name: z.string().min(1) })).optional(),
      runtimeClassName: z.string().optional(),
      priorityClassName: z.string().optional(),
      schedulerName: z.string().optional(),
      dnsPolicy: z.enum(["ClusterFirst", "Default", "None"]).optional(),
      dnsConfig: anything.optional(),
      volumes: z.array(volume).optional(),
      volumeMounts: z.array(volumeMount).optional(),
      env: z.array(variable).optional(),
    })
    .optional(),
});

export type PodTemplate = z.infer<typeof schema>;

/** @throws PodTemplateError */
export function readPodTemplate(path: string): PodTemplate {
  try {
    return parsePodTemplate(parseYaml(readFileSync(path, "utf8")) ?? {});
  } catch (error) {
    throw new PodTemplateError(`${path} cannot be used: ${(error as Error).message}`, { cause: error });
  }
}

/** @throws PodTemplateError with every mistake, each with its field */
export function parsePodTemplate(document: unknown): PodTemplate {
  const parsed = schema.safeParse(document);
  if (parsed.success) return parsed.data;
  throw new PodTemplateError(parsed.error.issues.flatMap(sentencesOf).join("; "));
}

/**
 * One template laid over another. Maps are merged by their keys, lists of things with a name by that (mounts by
 * phase and path, variables by phase and name); tolerations add up; anything else of the upper one replaces. Pure.
 */
export function layOver(lower: PodTemplate, upper: PodTemplate): PodTemplate {
  const { metadata: below, spec: under = {} } = lower;
  const { metadata: above, spec: over = {} } = upper;
  const spec: PodTemplate["spec"] = {
    ...under,
    ...over,
    nodeSelector: both(under.nodeSelector, over.nodeSelector),
    tolerations:
      under.tolerations === undefined ? over.tolerations : [...under.tolerations, ...(over.tolerations ?? [])],
    imagePullSecrets: byKey(under.imagePullSecrets, over.imagePullSecrets, ({ name }) => name),
    volumes: byKey(under.volumes, over.volumes, ({ name }) => name),
    volumeMounts: byKey(under.volumeMounts, over.volumeMounts, ({ phase, mountPath }) => `${phase} ${mountPath}`),
    env: byKey(under.env, over.env, ({ phase, name }) => `${phase} ${name}`),
  };
  return {
    metadata: {
      labels: both(below?.labels, above?.labels),
      annotations: both(below?.annotations, above?.annotations),
    },
    // What neither has is not there: a Job shows no field that nobody set.
    spec: Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined)),
  };
}

function both<Value>(lower?: Record<string, Value>, upper?: Record<string, Value>): Record<string, Value> | undefined {
  return lower === undefined && upper === undefined ? undefined : { ...lower, ...upper };
}

function byKey<One>(
  lower: One[] | undefined,
  upper: One[] | undefined,
  keyOf: (one: One) => string,
): One[] | undefined {
  if (lower === undefined || upper === undefined) return upper ?? lower;
  return [...new Map([...lower, ...upper].map((one) => [keyOf(one), one])).values()];
}

function sentencesOf(issue: z.core.$ZodIssue): string[] {
  const place = issue.path.join(".");
  if (issue.code !== "unrecognized_keys") return [`${place || "the template"}: ${issue.message}`];
  return issue.keys.map((key) => {
    const why = place === "spec" ? REFUSED[key] : undefined;
    return `${[place, key].filter(Boolean).join(".")} is refused: ${why ?? "a template has no such field"}`;
  });
}

/** Whether mounting something there would cover one of our own directories, or put it into one. */
function hidesOwnPath(path: string): boolean {
  const wanted = `${path.replace(/\/+$/, "")}/`;
  if (path.includes("..")) return true;
  const covers = (own: string): boolean => `${own}/`.startsWith(wanted);
  return [...OWN_PATHS, ...SYSTEM_PATHS].some(covers) || OWN_PATHS.some((own) => wanted.startsWith(`${own}/`));
}
