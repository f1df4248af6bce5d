/** A launcher in a namespace of its own, and runs for it. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { V1Pod } from "@kubernetes/client-node";
import { pino } from "pino";
import type { JobEnd } from "../../engine/domain/job.ts";
import { settlementOf } from "../../engine/domain/outcome.ts";
import { createKubernetesLauncher } from "../../engine/launch/kubernetes/kubernetes-launcher.ts";
import type { KubernetesLauncherSettings } from "../../engine/launch/kubernetes/launcher-settings.ts";
import type { Launcher, LaunchSpec, Observation } from "../../engine/launch/launcher.ts";
import { eventually } from "../support/waiting.ts";
import type { Clients } from "./support/clients.ts";
import { bindPod, podOfJob } from "./support/played-pod.ts";

export interface WhereToLaunch {
  kubeconfig: string;
  namespace: string;
}

/** Without a place, which each test has for itself. */
export const SETTINGS: KubernetesLauncherSettings = {
  instance: "test",
  workerImage: "myzel-worker",
  cpu: "1",
  memory: "1Gi",
  disk: "1Gi",
  claudeSecret: { name: "myzel-claude", key: "token" },
  stuckAfterMs: 300_000,
  createsAtOnce: 20,
  podDatabaseUrl: "postgresql://pod:password@db.invalid/myzel",
  log: pino({ level: process.env["MYZEL_TEST_LOG"] ?? "silent" }),
};

export function openLauncher(
  where: WhereToLaunch,
  settings: Partial<KubernetesLauncherSettings> = {},
): Promise<Launcher> {
  return createKubernetesLauncher({ ...SETTINGS, ...where, ...settings });
}

export function newSpec(given: Partial<LaunchSpec> = {}): LaunchSpec {
  const taskId = randomUUID();
  return {
    runId: randomUUID(),
    taskId,
    attempt: 1,
    addressee: "shop/reviewer",
    jobName: `task-${taskId}-1`,
    token: "0".repeat(64) + "1".repeat(64),
    repoUrl: null,
    deadlineSeconds: 3_600,
    credential: { name: "default", env_var: null, file_path: null, secret_name: null, secret_key: null },
    image: null,
    cpu: null,
    memory: null,
    ...given,
  };
}

/** Undefined where nothing of the run exists. */
export async function observationOf(launcher: Launcher, { runId }: LaunchSpec): Promise<Observation | undefined> {
  return (await launcher.observe()).find((observation) => observation.runId === runId);
}

export async function waitForEnd(launcher: Launcher, spec: LaunchSpec): Promise<JobEnd> {
  return eventually("the run has ended", async () => (await observationOf(launcher, spec))?.end);
}

export async function waitUntilGone(launcher: Launcher, spec: LaunchSpec): Promise<void> {
  await eventually("nothing of the run is left", async () => !(await observationOf(launcher, spec)));
}

/** What the engine would settle the run with. */
export function codeOf(end: JobEnd): string | null {
  return settlementOf({ retries: 0, stopReason: null, report: null }, end, new Date(), 0).failure_code;
}

/** Launches a run whose pod a played node has. */
export async function launchBound(
  launcher: Launcher,
  { clients, namespace, node }: { clients: Clients; namespace: string; node: { name: string } },
  given: Partial<LaunchSpec> = {},
): Promise<{ spec: LaunchSpec; pod: V1Pod }> {
  const spec = newSpec(given);
  await launcher.launch(spec);
  const pod = await podOfJob(clients, { namespace, name: spec.jobName });
  await bindPod(clients, pod, node);
  assert.ok(pod.metadata?.name);
  return { spec, pod };
}
