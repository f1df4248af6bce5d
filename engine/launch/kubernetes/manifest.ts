/**
 * The Job of a run. Pure: from the launch's specification, the settings and the operator's template.
 *
 * Meets the `restricted` Pod Security Standard, starts at most one pod, and holds no secret: what is secret
 * comes by reference, and of the run's token it shows the half that is worth nothing alone.
 */
import type { V1Job, V1PodSpec, V1Volume } from "@kubernetes/client-node";
import { ANNOTATIONS, labelsOf } from "./labels.ts";
import { isLoginDirectory, phaseContainers, type RunPlan } from "./phase-containers.ts";
import { STOP_FILE, VOLUMES } from "./pod-layout.ts";

/** A net only: the engine deletes Jobs when they are settled. */
const KEEP_FINISHED_SECONDS = 86_400;

/** For an agent that is told to end: to write down what it has. */
const GRACE_SECONDS = 30;

const STOP_ANNOTATION = `metadata.annotations['${ANNOTATIONS.stop}']`;

/** `node` of the image; the engine's uid elsewhere is of no account. */
const UID = 1000;

export function jobManifest(plan: RunPlan): V1Job {
  const { spec, settings, template } = plan;
  const labels = { ...template.metadata?.labels, ...labelsOf(spec, settings.instance) };
  const annotations = { ...template.metadata?.annotations, [ANNOTATIONS.addressee]: spec.addressee };
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name: spec.jobName, labels, annotations },
    spec: {
      // One pod, and never a second one: whether a run is repeated is the engine's decision. A policy for
      // pod failures would be needed to ignore some of them, which is to start another pod: there is none.
      completions: 1,
      parallelism: 1,
      backoffLimit: 0,
      podReplacementPolicy: "Failed",
      ttlSecondsAfterFinished: KEEP_FINISHED_SECONDS,
      template: { metadata: { labels, annotations }, spec: podSpec(plan) },
    },
  };
}

function podSpec(plan: RunPlan): V1PodSpec {
  const { volumes, volumeMounts: _mounts, env: _env, ...added } = plan.template.spec ?? {};
  const containers = phaseContainers(plan);
  return {
    ...(added as unknown as Partial<V1PodSpec>),
    restartPolicy: "Never",
    // Of the pod, not of the Job: time spent unscheduled does not count.
    activeDeadlineSeconds: plan.spec.deadlineSeconds,
    terminationGracePeriodSeconds: GRACE_SECONDS,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: UID,
      runAsGroup: UID,
      fsGroup: UID,
      seccompProfile: { type: "RuntimeDefault" },
    },
    initContainers: containers.slice(0, -1),
    containers: containers.slice(-1),
    volumes: [...ownVolumes(plan), ...((volumes ?? []) as V1Volume[])],
  };
}

function ownVolumes({ settings, gitSecret, claudeSecret }: RunPlan): V1Volume[] {
  const volumes: V1Volume[] = [
    { name: VOLUMES.workspace, emptyDir: { sizeLimit: settings.disk } },
    { name: VOLUMES.tmp, emptyDir: { sizeLimit: settings.disk } },
    { name: VOLUMES.private, emptyDir: { sizeLimit: settings.disk } },
    // This one annotation and no other: an agent needs to know nothing of the cluster.
    { name: VOLUMES.stop, downwardAPI: { items: [{ path: STOP_FILE, fieldRef: { fieldPath: STOP_ANNOTATION } }] } },
  ];
  // Optional: a Secret that is missing is told by the phase that needs it, while a pod that cannot mount waits for ever.
  if (gitSecret?.kind === "ssh") volumes.push(secretVolume(VOLUMES.gitKey, gitSecret.name));
  if (isLoginDirectory(claudeSecret)) {
    const items = [{ key: claudeSecret.key, path: claudeSecret.key }];
    volumes.push(secretVolume(VOLUMES.claude, claudeSecret.name, items));
  }
  return volumes;
}

function secretVolume(name: string, secretName: string, items?: { key: string; path: string }[]): V1Volume {
  return {
    name,
    // Readable by the pod's group only; ssh takes a key that its user does not own.
    secret: { secretName, defaultMode: 0o440, optional: true, ...(items === undefined ? {} : { items }) },
  };
}
