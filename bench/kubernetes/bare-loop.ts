/**
 * What the engine's rate is held against: a loop that creates Jobs and does nothing else. A process of its own with
 * the engine's client (engine/launch/kubernetes/api.ts), its manifests, made beforehand, and its concurrency.
 *
 * Told `{ make: COUNT }`, answers `{ elapsedMs }`.
 */
import { randomUUID } from "node:crypto";
import { pino } from "pino";
import { loadConfig } from "../../engine/config.ts";
import { openApi } from "../../engine/launch/kubernetes/api.ts";
import { jobManifest } from "../../engine/launch/kubernetes/manifest.ts";

/** As many as the engine has under way (engine/loops/launch.ts; the gate of the launcher is wider). */
const AT_ONCE = 16;

const namespace = process.env["MYZEL_NAMESPACE"] ?? "default";
const { kubernetes } = loadConfig({ MYZEL_INSTANCE: "bare" });
const settings = { ...kubernetes, namespace, podDatabaseUrl: "", log: pino({ level: "silent" }) };
const api = await openApi({ kubeconfig: process.env["KUBECONFIG"], namespace });

process.on("message", ({ make }: { make: number }) => void createJobs(make));
process.once("disconnect", () => process.exit());
process.send?.({ ready: true });

async function createJobs(count: number): Promise<void> {
  const manifests = Array.from({ length: count }, (_, i) => manifest(i));
  const begin = performance.now();
  const creator = async (): Promise<void> => {
    for (let body = manifests.pop(); body !== undefined; body = manifests.pop()) {
      await api.request({ method: "POST", path: `/apis/batch/v1/namespaces/${namespace}/jobs`, body });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, creator));
  process.send?.({ elapsedMs: performance.now() - begin });
}

/** Of a run as the engine makes it of a bare INSERT. */
function manifest(i: number): object {
  const taskId = randomUUID();
  const spec = {
    runId: randomUUID(),
    taskId,
    attempt: 1,
    addressee: `bench-${i}`,
    role: "red",
    jobName: `task-${taskId}-1`,
    token: "0".repeat(128),
    repoUrl: null,
    deadlineSeconds: 9_000,
    credential: { name: "default", env_var: null, file_path: null, secret_name: null, secret_key: null },
    image: null,
    cpu: null,
    memory: null,
  };
  return jobManifest({ spec, settings, template: {}, gitSecret: null, claudeSecret: settings.claudeSecret });
}
