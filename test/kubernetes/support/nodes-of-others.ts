/** Real nodes, in a cluster that was given: their scheduler would be faster than a test that binds its pods itself. */
import type { V1Node } from "@kubernetes/client-node";
import type { Clients } from "./clients.ts";

/** The name of a node that takes any pod; null where there is none. */
export async function nodeThatTakesPods({ core }: Clients): Promise<string | null> {
  const { items } = await core.listNode();
  return items.find(takesPods)?.metadata?.name ?? null;
}

function takesPods({ spec }: V1Node): boolean {
  const refuses = (spec?.taints ?? []).some(({ effect }) => effect !== "PreferNoSchedule");
  return !refuses && spec?.unschedulable !== true;
}
