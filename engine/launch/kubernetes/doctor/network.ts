/** The rules for runs' connections, as they are written down. Whether anybody keeps them only a pod can tell. */
import { unknown, warning, type Check } from "../../../check.ts";
import type { Api } from "../api.ts";
import { isStatus } from "../api-error.ts";

interface PolicyJson {
  metadata: { name: string };
  spec: {
    podSelector?: { matchLabels?: Record<string, string> };
    policyTypes?: string[];
    egress?: object[];
  };
}

/** Names of the policies for what pods with these labels may connect to; null: this login may not read them. @throws ApiError */
export async function egressPolicies(api: Api, labels: Readonly<Record<string, string>>): Promise<string[] | null> {
  try {
    const path = `/apis/networking.k8s.io/v1/namespaces/${api.namespace}/networkpolicies`;
    const { items } = (await api.request({ path })) as { items: PolicyJson[] };
    return items.filter((policy) => covers(policy, labels)).map(({ metadata }) => metadata.name);
  } catch (error) {
    if (isStatus(error, 403)) return null;
    throw error;
  }
}

function covers({ spec }: PolicyJson, labels: Readonly<Record<string, string>>): boolean {
  const limitsEgress = spec.policyTypes?.includes("Egress") ?? spec.egress !== undefined;
  // Expressions are not judged: a pod that tries finds out.
  return (
    limitsEgress && Object.entries(spec.podSelector?.matchLabels ?? {}).every(([key, value]) => labels[key] === value)
  );
}

const TRY = "myzel doctor --try-pod starts a short pod that tries to reach what runs may not";

/** What can be said without a pod. Pure. */
export function checkPolicies(policies: readonly string[] | null): Check {
  const name = "network policy";
  if (policies === null) return unknown(name, "whether runs are kept from the cluster's network: not tried", TRY);
  if (policies.length > 0) {
    return unknown(name, `${policies.join(", ")} covers runs; whether the network enforces it was not tried`, TRY);
  }
  return noPolicy();
}

export function noPolicy(): Check {
  return warning(
    "network policy",
    "none covers runs: agents reach whatever the cluster's network has",
    "kubectl apply --filename deploy/base/network-of-runs.yaml (see deploy/README.md)",
  );
}
