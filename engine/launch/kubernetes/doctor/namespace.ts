/** The namespace of runs: is it there, and does the API server itself hold its pods to `restricted`. */
import { ok, problem, unknown, warning, type Check } from "../../../check.ts";
import type { Api } from "../api.ts";
import { isStatus } from "../api-error.ts";

const LABEL = "pod-security.kubernetes.io/enforce";

interface NamespaceJson {
  metadata: { labels?: Record<string, string>; deletionTimestamp?: string };
}

/** @throws ApiError where the server neither says yes nor no */
export async function checkNamespace(api: Api): Promise<Check> {
  const name = "namespace";
  const { namespace } = api;
  let found: NamespaceJson;
  try {
    found = (await api.request({ path: `/api/v1/namespaces/${namespace}` })) as NamespaceJson;
  } catch (error) {
    if (isStatus(error, 404)) {
      const mend = `kubectl create namespace ${namespace}, or set MYZEL_NAMESPACE to another one`;
      return problem(name, `there is no namespace ${namespace}`, mend);
    }
    if (!isStatus(error, 403)) throw error;
    const how = `with a login that may read it: kubectl get namespace ${namespace} --show-labels (wanted: ${LABEL}=restricted)`;
    return unknown(name, `whether ${namespace} enforces the restricted standard: this login may not read it`, how);
  }
  const { labels = {}, deletionTimestamp } = found.metadata;
  if (deletionTimestamp !== undefined) {
    return problem(name, `${namespace} is being deleted`, "wait until it is gone, and make it anew");
  }
  const enforced = labels[LABEL];
  if (enforced === "restricted") return ok(name, `${namespace} enforces the restricted standard`);
  return warning(
    name,
    `${namespace} enforces ${enforced === undefined ? "no Pod Security standard" : `the standard "${enforced}"`}: only the engine's own care keeps pods from privileges`,
    `kubectl label --overwrite namespace ${namespace} ${LABEL}=restricted`,
  );
}
