/** Checks of the cluster in which runs are Jobs: what the launcher needs there, asked with this login. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { ok, problem, type Check } from "../../check.ts";
import type { Config } from "../../config.ts";
import { createLogger } from "../../logging.ts";
import type { CredentialRow } from "../../store/credentials.ts";
import { DEFAULT_CREDENTIAL } from "./claude.ts";
import type { Stored } from "./database.ts";

/** An image that is large, on a node that has not got it. */
const TRY_TIMEOUT_MS = 180_000;
const KEY_BYTES = 32;

/** @param stored what the database says of credentials and profiles; null where it cannot be asked */
export async function checkTheCluster(
  config: Config,
  stored: Stored | null,
  { tryPod }: { tryPod: boolean },
): Promise<Check[]> {
  // Heavy: only who asks for it pays.
  const { checkCluster } = await import("../../launch/kubernetes/doctor/check-cluster.ts");
  const credentials = stored?.rows ?? [DEFAULT_CREDENTIAL];
  const found = await checkCluster({
    settings: {
      ...config.kubernetes,
      kubeconfig: config.kubeconfig,
      modelBaseUrl: config.modelBaseUrl,
      cloneDepth: config.cloneDepth,
      checksWaitSeconds: config.checksWaitSeconds,
      podDatabaseUrl: "",
      log: createLogger({ level: "silent", readable: false }),
    },
    maxLiveRuns: config.maxLiveRuns,
    credentials,
    profiles: profilesOf(stored, credentials),
    tryPod: tryPod ? { timeoutMs: TRY_TIMEOUT_MS } : null,
  });
  return [...found, checkRunKey(config.dataDir)];
}

/** Where there is no profile: what a run without one would get. */
function profilesOf(stored: Stored | null, credentials: readonly CredentialRow[]) {
  const of = (name: string) => credentials.find((row) => row.name === name) ?? DEFAULT_CREDENTIAL;
  const rows = stored?.profiles ?? [];
  if (rows.length === 0) {
    return [
      { name: "default", image: null, cpu: null, memory: null, credential: DEFAULT_CREDENTIAL, podTemplate: null },
    ];
  }
  return rows.map(({ name, image, cpu, memory, credential, pod_template, secrets }) => ({
    name,
    image,
    cpu,
    memory,
    credential: of(credential),
    podTemplate: pod_template,
    secrets,
  }));
}

/** Engines of one database share it. In a cluster it comes from a Secret, for there every engine has a disk of its own. */
function checkRunKey(dataDir: string): Check {
  const name = "run key";
  const path = join(dataDir, "run-key");
  const stat = statSync(path, { throwIfNoEntry: false });
  const inCluster = process.env["KUBERNETES_SERVICE_HOST"] !== undefined;
  const mend = "mount the key of the Secret myzel-run-key there, as deploy/base/engine.yaml does";
  if (stat === undefined) {
    if (inCluster) return problem(name, `there is none at ${path}: each engine would make tokens of its own`, mend);
    return ok(name, `${path} is made at the first start`);
  }
  if (stat.size === KEY_BYTES) return ok(name, path);
  return problem(name, `${path} does not hold ${KEY_BYTES} bytes`, inCluster ? mend : "restore it");
}
