/** Brings the engine of deploy/ to a test's namespace, as it is but for names and addresses. */
import { join } from "node:path";
import { createObject } from "../deploy/create-object.ts";
import { type KubernetesObject, render } from "../deploy/kustomize.ts";
import type { Clients } from "../support/clients.ts";

const OVERLAY = join(import.meta.dirname, "../../../deploy/overlays/production");

interface NetworkPolicy {
  spec: { egress?: { to?: { ipBlock?: { cidr: string } }[] }[] };
}

interface Deployment {
  spec: { template: { spec: PodSpec } };
}

interface PodSpec {
  hostAliases?: { ip: string; hostnames: string[] }[];
  containers: { image: string; env: { name: string; value?: string; valueFrom?: unknown }[] }[];
}

/**
 * @param options.apiServer where pods reach the API server, if not at its Service's address. Its certificate is good for
 *   the name `kubernetes`.
 * @param options.databaseAddress what an operator writes into `network.yaml`
 * @param options.gitSecrets what an operator writes into `git-secrets.yaml`
 */
export async function deployEngine(
  clients: Clients,
  options: {
    namespace: string;
    image: string;
    environment: Record<string, string>;
    apiServer?: { address: string; port: number };
    databaseAddress?: string;
    gitSecrets?: string;
  },
): Promise<void> {
  const { namespace, image, environment, apiServer, databaseAddress, gitSecrets } = options;
  const service = { KUBERNETES_SERVICE_HOST: "kubernetes", KUBERNETES_SERVICE_PORT: String(apiServer?.port) };
  for (const object of await render(OVERLAY)) {
    // Those are there already.
    if (["Namespace", "ServiceAccount", "Role", "RoleBinding", "Secret"].includes(object.kind)) continue;
    object.metadata.namespace = namespace;
    if (object.kind === "Deployment") {
      const variables = { ...environment, ...(apiServer === undefined ? {} : service) };
      const hostAliases = apiServer === undefined ? [] : [{ ip: apiServer.address, hostnames: ["kubernetes"] }];
      adapt(object, { image, variables, hostAliases });
    }
    if (databaseAddress !== undefined && object.metadata.name === "myzel-runs-to-database") {
      const [rule] = (object as unknown as NetworkPolicy).spec.egress ?? [];
      for (const { ipBlock } of rule?.to ?? []) if (ipBlock !== undefined) ipBlock.cidr = `${databaseAddress}/32`;
    }
    const files = object["data"] as Record<string, string> | undefined;
    if (gitSecrets !== undefined && files?.["git-secrets.yaml"] !== undefined) files["git-secrets.yaml"] = gitSecrets;
    await createObject(clients.config, object);
  }
}

function adapt(
  object: KubernetesObject,
  changes: { image: string; variables: Record<string, string>; hostAliases: NonNullable<PodSpec["hostAliases"]> },
): void {
  const pod = (object as unknown as Deployment).spec.template.spec;
  pod.hostAliases = changes.hostAliases;
  for (const container of pod.containers) {
    container.image = changes.image;
    container.env = container.env.filter(({ name }) => changes.variables[name] === undefined);
    for (const [name, value] of Object.entries(changes.variables)) container.env.push({ name, value });
  }
}
