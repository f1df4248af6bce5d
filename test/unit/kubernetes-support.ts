/** A launch and the objects of a run, as the pure parts of the Kubernetes launcher see them. */
import { pino } from "pino";
import type { LaunchSpec } from "../../engine/launch/launcher.ts";
import type { KubernetesLauncherSettings } from "../../engine/launch/kubernetes/launcher-settings.ts";
import type { SeenContainer, SeenJob, SeenPod } from "../../engine/launch/kubernetes/seen.ts";

export const TOKEN = { own: "a".repeat(64), shared: "5ec4e7".repeat(10) + "5ec4" };

export const SETTINGS: KubernetesLauncherSettings = {
  instance: "myzel",
  workerImage: "registry.example/myzel-worker:1",
  cpu: "2",
  memory: "4Gi",
  disk: "10Gi",
  claudeSecret: { name: "myzel-claude", key: "token" },
  stuckAfterMs: 300_000,
  createsAtOnce: 4,
  podDatabaseUrl: "postgresql://pod:db-password@db/myzel",
  log: pino({ level: "silent" }),
};

export const SPEC: LaunchSpec = {
  runId: "11111111-1111-4111-8111-111111111111",
  taskId: "22222222-2222-4222-8222-222222222222",
  attempt: 3,
  addressee: "shop/reviewer",
  jobName: "task-22222222-2222-4222-8222-222222222222-3",
  token: TOKEN.own + TOKEN.shared,
  repoUrl: "https://github.com/acme/shop.git",
  deadlineSeconds: 9_000,
  credential: { name: "default", env_var: null, file_path: null, secret_name: null, secret_key: null },
  image: null,
  cpu: null,
  memory: null,
};

export const NOW = Date.parse("2026-01-01T12:00:00Z");

export function job(given: Partial<SeenJob> = {}): SeenJob {
  return {
    uid: "job-uid",
    name: SPEC.jobName,
    runId: SPEC.runId,
    version: 1,
    createdAt: NOW - 60_000,
    deletedAt: null,
    suspended: false,
    finished: null,
    givenUp: null,
    ...given,
  };
}

export function pod(given: Partial<SeenPod> = {}): SeenPod {
  return {
    uid: "pod-uid",
    name: `${SPEC.jobName}-abcde`,
    runId: SPEC.runId,
    version: 1,
    createdAt: NOW - 60_000,
    deletedAt: null,
    jobName: SPEC.jobName,
    nodeName: "node-1",
    phase: "Running",
    reason: "",
    message: "",
    startedAt: NOW - 50_000,
    scheduledAt: NOW - 55_000,
    deadlineMs: 9_000_000,
    graceMs: 30_000,
    disruption: null,
    unschedulable: null,
    stopAskedAt: null,
    containers: [],
    ...given,
  };
}

export function container(phase: SeenContainer["phase"], given: Partial<SeenContainer>): SeenContainer {
  return { phase, state: "waiting", reason: "", message: "", exitCode: 0, finishedAt: null, ...given };
}

/** The phases that have ended, with their exit codes, five seconds apart. */
export function endedWith(...exitCodes: number[]): SeenContainer[] {
  const phases = ["checkout", "agent", "publish"] as const;
  return exitCodes.map((exitCode, index) => {
    const phase = phases[index] ?? "publish";
    const reason = exitCode === 0 ? "Completed" : "Error";
    return container(phase, { state: "terminated", exitCode, reason, finishedAt: NOW - 40_000 + index * 5_000 });
  });
}
