/** Brings the engine of deploy/ to a test's namespace, as it is but for names and addresses. */
import { join } from "node:path";
import { createObject } from "../deploy/create-object.ts";
import { type KubernetesObject, render } from "../deploy/kustomize.ts";
import type { Clients } from "../support/clients.ts";

const OVERLAY = join(import.meta.dirname, "../../../deploy/overlays/production");

interface Deployment {
  spec: { template: { spec: PodSpec } };
}

interface PodSpec {
  hostAliases?: { ip: string; hostnames: string[] }[];
  containers: { image: string; env: { name: string; value?: string; valueFrom?: unknown }[] }[];
}

/**
 * @param options.apiServer where pods reach the API server: there is no Service address on the node. Its certificate is
 *   good for the name `kubernetes`.
 */
export async function deployEngine(
  clients: Clients,
  options: {
    namespace: string;
    image: string;
    environment: Record<string, string>;
    apiServer: { address: string; port: number };
  },
): Promise<void> {
  const { namespace, image, environment, apiServer } = options;
  for (const object of await render(OVERLAY)) {
    // Those are there already.
    if (["Namespace", "ServiceAccount", "Role", "RoleBinding", "Secret"].includes(object.kind)) continue;
    object.metadata.namespace = namespace;
    if (object.kind === "Deployment") {
      const variables = {
        ...environment,
        KUBERNETES_SERVICE_HOST: "kubernetes",
        KUBERNETES_SERVICE_PORT: String(apiServer.port),
      };
      adapt(object, { image, variables, hostAliases: [{ ip: apiServer.address, hostnames: ["kubernetes"] }] });
    }
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
