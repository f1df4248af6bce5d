/**
 * The labels by which jobs and pods are found and told apart from everybody else's. Pure.
 *
 * A Job is ours if it carries all of `selectorOf(instance)`; nothing else is ever looked at, stopped or
 * deleted. The instance keeps two installations in one namespace from ending each other's jobs.
 */
import { createHash } from "node:crypto";
import type { LaunchSpec } from "../launcher.ts";

export const LABELS = {
  instance: "myzel.dev/instance",
  run: "myzel.dev/run",
  task: "myzel.dev/task",
  attempt: "myzel.dev/attempt",
  addressee: "myzel.dev/addressee",
  role: "myzel.dev/role",
  cluster: "myzel.dev/cluster",
} as const;

export const ANNOTATIONS = {
  /** The addressee as it is, whatever its label had to become. */
  addressee: "myzel.dev/addressee",
  /** JSON: the code and sentence of a run that this launcher gave up. */
  givenUp: "myzel.dev/given-up",
  /** Of a pod, not of its Job: when it was asked to stop and keep what it leaves, an ISO time. Its phases are shown it. */
  stop: "myzel.dev/stop",
} as const;

const MANAGED_BY = "app.kubernetes.io/managed-by";
const MANAGER = "myzel";

/** Keys of these prefixes nobody else may set on our objects. */
export const RESERVED_PREFIXES = ["myzel.dev/", "batch.kubernetes.io/"];
export const RESERVED_KEYS = [MANAGED_BY, "job-name", "controller-uid"];

/** Of a run's Job, and of its pod. */
export function labelsOf(spec: LaunchSpec, instance: string): Record<string, string> {
  const slash = spec.addressee.indexOf("/");
  return {
    [MANAGED_BY]: MANAGER,
    [LABELS.instance]: instance,
    [LABELS.run]: spec.runId,
    [LABELS.task]: spec.taskId,
    [LABELS.attempt]: String(spec.attempt),
    [LABELS.addressee]: labelValue(spec.addressee),
    ...(spec.role === undefined ? {} : { [LABELS.role]: labelValue(spec.role) }),
    // An agent of a cluster is the addressee `<cluster>/<agent>`.
    ...(slash > 0 ? { [LABELS.cluster]: labelValue(spec.addressee.slice(0, slash)) } : {}),
  };
}

/** Of everything that is ours. */
export function selectorOf(instance: string): string {
  return `${MANAGED_BY}=${MANAGER},${LABELS.instance}=${instance}`;
}

/** Of one run. */
export function runSelectorOf(instance: string, runId: string): string {
  return `${selectorOf(instance)},${LABELS.run}=${runId}`;
}

/** Of the run that was launched under this name, `task-<task id>-<attempt>`. */
export function jobSelectorOf(instance: string, jobName: string): string {
  const [, task, attempt] = /^task-(.+)-(\d+)$/.exec(jobName) ?? [];
  // No name that was ever launched: nothing carries such a label.
  return `${selectorOf(instance)},${LABELS.task}=${task ?? "none"},${LABELS.attempt}=${attempt ?? "0"}`;
}

const MAX_LABEL_CHARS = 63;
const VALID_LABEL = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

/**
 * The text itself where it is a valid label value; else what can be shown of it and 12 hex digits of its
 * SHA-256, so that different texts stay different and people still recognize it.
 */
export function labelValue(text: string): string {
  if (VALID_LABEL.test(text)) return text;
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 12);
  const shown = text
    .replace(/[^A-Za-z0-9._-]+/g, "-")
    .slice(0, MAX_LABEL_CHARS - hash.length - 1)
    .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, "");
  return shown === "" ? hash : `${shown}-${hash}`;
}
