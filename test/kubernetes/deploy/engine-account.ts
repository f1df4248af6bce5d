/** The engine's own account in a test's namespace, with exactly the rights that deploy/ gives it. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AuthorizationV1Api, type V1ResourceAttributes } from "@kubernetes/client-node";
import { loadAll } from "js-yaml";
import { eventually } from "../../support/waiting.ts";
import { createObject } from "./create-object.ts";
import type { KubernetesObject } from "./kustomize.ts";
import type { Clients } from "../support/clients.ts";

export const ENGINE_ACCOUNT_FILE = join(import.meta.dirname, "../../../deploy/base/service-account.yaml");
const ACCOUNT = "myzel-engine";

/** Makes the account and its Role, and writes a kubeconfig with its token to `path`. Its rights are in force when it is returned. */
export async function makeEngineAccount(clients: Clients, namespace: string, path: string): Promise<void> {
  for (const object of loadAll(await readFile(ENGINE_ACCOUNT_FILE, "utf8")) as KubernetesObject[]) {
    object.metadata.namespace = namespace;
    for (const subject of (object["subjects"] ?? []) as { namespace?: string }[]) subject.namespace = namespace;
    await createObject(clients.config, object);
  }
  const { status } = await clients.core.createNamespacedServiceAccountToken({
    namespace,
    name: ACCOUNT,
    body: { spec: { audiences: [], expirationSeconds: 3600 } },
  });
  await eventually("the account's Role is in force", () =>
    accountMay(clients, namespace, { verb: "list", resource: "pods" }),
  );
  const cluster = clients.config.getCurrentCluster();
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster: { server: cluster?.server, "certificate-authority-data": cluster?.caData } }],
    users: [{ name: ACCOUNT, user: { token: status?.token } }],
    contexts: [{ name: "test", context: { cluster: "test", user: ACCOUNT, namespace } }],
    "current-context": "test",
  };
  await writeFile(path, JSON.stringify(config), { mode: 0o600 });
}

/** Whether the API server lets this namespace's account do that, in this namespace unless said: it hears of a Role a moment after it was written. */
export async function accountMay(clients: Clients, namespace: string, right: V1ResourceAttributes): Promise<boolean> {
  const user = `system:serviceaccount:${namespace}:${ACCOUNT}`;
  const body = { spec: { user, resourceAttributes: { namespace, ...right } } };
  const { status } = await clients.config.makeApiClient(AuthorizationV1Api).createSubjectAccessReview({ body });
  return status?.allowed === true;
}
