/** The engine that deploy/ runs in the namespace: its own Secrets, and whether its pods are up. */
import type { V1PodSpec } from "@kubernetes/client-node";
import { ok, problem, unknown, warning, type Check } from "../../../check.ts";
import type { Api } from "../api.ts";
import { isStatus } from "../api-error.ts";
import { keysOf } from "./secret-keys.ts";

const NAME = "myzel-engine";

interface DeploymentJson {
  spec: { replicas?: number; template: { spec: V1PodSpec } };
  status?: { readyReplicas?: number };
}

/** Nothing where no engine is deployed here, or this login may not see it. @throws ApiError */
export async function checkDeployment(api: Api): Promise<Check[]> {
  let deployment: DeploymentJson;
  try {
    const path = `/apis/apps/v1/namespaces/${api.namespace}/deployments/${NAME}`;
    deployment = (await api.request({ path })) as DeploymentJson;
  } catch (error) {
    if (isStatus(error, 403) || isStatus(error, 404)) return [];
    throw error;
  }
  const wanted = secretKeysOf(deployment.spec.template.spec);
  const secrets = await Promise.all([...wanted].map(([secret, keys]) => checkSecret(api, secret, keys)));
  return [checkReady(deployment), ...secrets];
}

function checkReady({ spec, status }: DeploymentJson): Check {
  const wanted = spec.replicas ?? 1;
  const ready = status?.readyReplicas ?? 0;
  const message = `${ready} of ${wanted} pods of the Deployment ${NAME} are ready`;
  const mend = `kubectl describe pods --selector app.kubernetes.io/component=engine, and their logs`;
  if (wanted > 0 && ready === wanted) return ok("engine pods", message);
  // None yet is no fault: it may be starting, or wait for what is told below.
  return warning("engine pods", message, wanted === 0 ? `kubectl scale deployment ${NAME} --replicas 2` : mend);
}

async function checkSecret(api: Api, secret: string, wanted: ReadonlySet<string>): Promise<Check> {
  const name = `Secret ${secret}`;
  const list = [...wanted].join(", ");
  const keys = await keysOf(api, secret);
  const mend = `make it in ${api.namespace} as deploy/README.md says; the engine's pods wait for it`;
  if (keys === "forbidden") return unknown(name, `whether it has ${list}: this login may not read it`, null);
  if (keys === "missing") return problem(name, `there is none; the engine needs its ${list}`, mend);
  const missing = [...wanted].filter((key) => !keys.includes(key));
  if (missing.length === 0) return ok(name, `has the keys ${list}, for the engine`);
  return problem(name, `has no key ${missing.join(", ")}, which the engine needs`, mend);
}

/** Which keys of which Secrets the engine's pods name. Pure. */
function secretKeysOf({ containers, volumes = [] }: V1PodSpec): Map<string, Set<string>> {
  const wanted = new Map<string, Set<string>>();
  const add = (secret: string | undefined, key: string | undefined): void => {
    if (secret !== undefined && key !== undefined) wanted.set(secret, (wanted.get(secret) ?? new Set()).add(key));
  };
  for (const { env = [], volumeMounts = [] } of containers) {
    for (const { valueFrom } of env) {
      const from = valueFrom?.secretKeyRef;
      if (from?.optional !== true) add(from?.name, from?.key);
    }
    for (const { name, subPath } of volumeMounts) {
      const source = volumes.find((volume) => volume.name === name)?.secret;
      if (source?.optional !== true) add(source?.secretName, subPath);
    }
  }
  return wanted;
}
