/** A namespace of a test's own, in which the restricted Pod Security Standard is enforced. */
import { randomBytes } from "node:crypto";
import { eventually } from "../../support/waiting.ts";
import { unlessNotFound, type Clients } from "./clients.ts";
import { removePods } from "./remove-pods.ts";

export interface FreshNamespace {
  readonly name: string;
  /** Removes it with everything in it, pods without a kubelet and with finalizers too. Kubernetes goes on with it afterwards. */
  remove(): Promise<void>;
}

/** `prefix` and a random ending. Takes pods when it is returned: its default service account is there. */
export async function freshNamespace(clients: Clients, prefix: string): Promise<FreshNamespace> {
  const name = `${prefix}-${randomBytes(4).toString("hex")}`;
  const labels = { "pod-security.kubernetes.io/enforce": "restricted" };
  await clients.core.createNamespace({ body: { metadata: { name, labels } } });
  const account = { namespace: name, name: "default" };
  await eventually(`the default service account of ${name} is there`, () =>
    unlessNotFound(clients.core.readNamespacedServiceAccount(account)),
  );
  return {
    name,
    async remove() {
      await unlessNotFound(clients.core.deleteNamespace({ name }));
      // From now on nobody can make another pod in it.
      await removePods(clients, name);
    },
  };
}
